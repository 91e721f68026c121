"""Failures by error code and fault."""

from __future__ import annotations

from collections.abc import Mapping

from nxkernel.audit.page.markup import Markup, fragment, legend, tag

__all__ = ["failures"]

_WIDTH, _LEFT, _RIGHT, _ROW = 1040, 250, 940, 28
_FAULTS = ("plugin", "caller", "host")


def failures(errors: Mapping[tuple[str, str], int]) -> Markup:
    """Return a bar for each error code and fault, the most frequent first."""
    most = max(errors.values())
    drawn: list[Markup] = []
    for number, ((code, fault), count) in enumerate(errors.items()):
        y = _ROW * number
        width = max(2.0, (_RIGHT - _LEFT) * count / most)
        kind = f"fault-{fault}" if fault in _FAULTS else "failed"
        title = tag("title", f"{code}, fault of the {fault}: {count}")
        drawn.append(tag("text", code, x=0, y=y + 18, class_="plugin"))
        drawn.append(tag("rect", title, x=_LEFT, y=y + 4, width=width, height=20, class_=kind))
        shown = f"{count:,} · {fault}"
        drawn.append(tag("text", shown, x=_LEFT + width + 8, y=y + 18, class_="value"))
    box = f"0 0 {_WIDTH} {_ROW * len(errors) + 4}"
    return fragment(
        tag("svg", *drawn, viewBox=box, role="img", aria_label="failures by code and fault"),
        legend(*((f"fault-{fault}", f"fault of the {fault}") for fault in _FAULTS)),
    )
