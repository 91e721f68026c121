"""Paths as sets of trees: what lies below what."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["is_below", "outermost"]


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Say whether *path* is one of *folders* or inside one."""
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Return *paths*, sorted, without those that lie below another."""
    kept: list[str] = []
    for path in sorted(set(paths)):  # a folder sorts before what it contains
        if not is_below(path, kept):
            kept.append(path)
    return tuple(kept)
