"""Measurements with the peers beside us: one run, interleaved rounds, medians, ratios."""
