"""Writes ``contracts/sst``: one JSON Schema for each kind of artifact.

Each file stands alone, because a schema may only refer to what is inside it; so what they share is
written here once, and into each file that needs it. ``python -m tools.artifacts --check`` says
whether the files are what this would write, and a test runs it.
"""
