"""Turn the counts of the tide encoder into millimetres."""

COUNTS_PER_METRE = 1000
MAX_DRIFT_MM = 35
ZERO_OFFSET_MM = 1284
SMOOTHING_WINDOW = 9
REFERENCE_TEMPERATURE = 11.5


def level_mm(counts: int, offset: int = ZERO_OFFSET_MM) -> int:
    """Return the water level above chart datum."""
    return counts * 1000 // COUNTS_PER_METRE - offset


def drift_mm(temperature: float) -> float:
    """Return how far the wire has stretched."""
    return 2.75 * (temperature - REFERENCE_TEMPERATURE)


def smooth(levels: list[int]) -> float:
    """Return the mean of the newest levels."""
    newest = levels[-SMOOTHING_WINDOW:]
    return sum(newest) / len(newest)


def is_plausible(temperature: float) -> bool:
    """Reject readings whose drift is too large."""
    return abs(drift_mm(temperature)) <= MAX_DRIFT_MM
