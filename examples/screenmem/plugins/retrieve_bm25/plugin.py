"""Ranks frames by their best units; the search itself is another plugin's, asked by the kernel."""

from __future__ import annotations

from typing import Any

import nxkernel as nx

hookimpl = nx.HookimplMarker("screenmem")

#: Units asked of each index for one frame that is wanted.
UNITS = 12
#: So many units count for a frame: a long document is not better for being long.
BEST = 4
#: Words that are in every question and say nothing about where its answer is.
STOP = frozenset(
    """a about an and are as at be been by can did do does for from had has have how i in is it its
    many much must of often on or so that the their this to was were what when where which who whom
    whose why will with""".split()
)


class Plugin:
    def __init__(self, context: nx.PluginContext) -> None:
        self._context = context

    @hookimpl
    def retrieve(self, question: str, limit: int) -> list[dict[str, Any]]:
        """Return the best frames with their scores."""
        words = [word for word in question.split() if word.lower().strip("?,.!") not in STOP]
        found = self._context.call(
            "search_index", query=" ".join(words) or question, limit=UNITS * limit
        )
        scores: dict[str, list[int]] = {}
        for hits in found:
            for hit in hits:
                scores.setdefault(hit["frame"], []).append(hit["score"])
        ranked = sorted((-sum(sorted(s)[-BEST:]), frame) for frame, s in scores.items())
        return [{"frame": frame, "score": -score} for score, frame in ranked[:limit]]
