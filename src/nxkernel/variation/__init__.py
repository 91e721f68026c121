"""Variation: the same calls under other conditions, and the least that changes what they give."""
