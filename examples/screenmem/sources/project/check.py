"""Check the calibration over the temperatures that the hut can have."""

import calibrate


def conversions() -> list[bool]:
    """Whether each whole metre converts to itself."""
    return [calibrate.level_mm(m * 1000, offset=0) == m * 1000 for m in range(8)]


def temperatures() -> list[bool]:
    """Whether each temperature from -12 to 35 degrees is plausible."""
    return [calibrate.is_plausible(t) for t in range(-12, 36)]


def means() -> list[bool]:
    """Whether a constant level is its own mean."""
    return [calibrate.smooth([level] * 20) == level for level in range(40)]


def main() -> None:
    """Print one line for each group of tests, then the sum."""
    groups = {"conversions": conversions(), "temperatures": temperatures(), "means": means()}
    for name, results in groups.items():
        print(f"{name:<14}{sum(results):>4} passed")
    every = [result for results in groups.values() for result in results]
    print(f"{every.count(False)} of {len(every)} tests failed")


main()
