"""The picture of ``docs/reference/artifacts.md``: which kind names which.

Places are chosen by hand; the arrows are those of ``nxkernel.findings.references``, which the
kernel checks, and of citations. A kind without a place, or an arrow of a kind that has none, fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from nxkernel.findings.references import REFERENCES

WIDTH, HEIGHT = 1080, 470
BOX = (112, 32)
STATE = (245, 40, 560, 395)
#: The middle of each kind's box.
PLACES = {
    "frame": (85, 90),
    "citation": (85, 315),
    "answer": (85, 415),
    "block": (325, 235),
    "line": (325, 120),
    "token": (525, 235),
    "table": (525, 120),
    "spreadsheet": (725, 120),
    "chart": (725, 235),
    "element": (725, 350),
    "code_block": (325, 365),
    "cursor": (525, 365),
    "delta": (995, 150),
    "action": (995, 290),
}
#: What is named without an id, or by more than one kind of id.
BESIDE = {
    ("answer", "citation"): "claims[].citations[]",
    ("citation", "frame"): "frame",
    ("citation", "token"): "start to end",
    ("delta", "state"): "from, to, changes",
    ("action", "state"): "from, to, impact",
    ("action", "element"): "target element",
}
STYLE = (
    "text{font:13px sans-serif;fill:#222}"
    ".small{font-size:10.5px;fill:#444;stroke:#fff;stroke-width:3;paint-order:stroke}"
    "rect{fill:#fff;stroke:#345;stroke-width:1.2}.state{fill:#f2f6fa}"
    "line{stroke:#345;stroke-width:1.1;marker-end:url(#a)}"
)
ARROW = (
    '<marker id="a" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0 8 4 0 8z" fill="#345"/></marker>'
)


def figure() -> str:
    """Return the picture as SVG."""
    x, y, width, height = STATE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="Artifacts and what they name">',
        f"<style>{STYLE}</style><defs>{ARROW}</defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" stroke="none" style="stroke:none"/>',
        f'<rect class="state" x="{x}" y="{y}" width="{width}" height="{height}" rx="9"/>',
        f'<text x="{x + 14}" y="{y + 22}" font-weight="bold">state</text>',
        *(line for (source, target), label in _arrows() for line in _arrow(source, target, label)),
        *(line for kind in sorted(PLACES) for line in _box(kind)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrows() -> Iterator[tuple[tuple[str, str], str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for kind, fields in REFERENCES.items():
        for field, target in fields.items():
            # What stands in a state names it, and elements name each other: the box says so.
            if target != "state" and kind not in ("state", target):
                found.setdefault((kind, target), []).append(field)
    for pair, fields_ in sorted(found.items()):
        yield pair, ", ".join(fields_)
    yield ("state", "frame"), "frame_id"
    yield from sorted(BESIDE.items())


def _edge(kind: str, towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the middle of *kind*'s box to another place leaves the box."""
    if kind == "state":
        x, y, width, height = STATE
        return (x if towards[0] < x else x + width), min(max(towards[1], y + 20), y + height - 20)
    middle = PLACES[kind]
    dx, dy = towards[0] - middle[0], towards[1] - middle[1]
    scale = min(
        BOX[0] / 2 / abs(dx) if dx else float("inf"), BOX[1] / 2 / abs(dy) if dy else float("inf")
    )
    return middle[0] + dx * scale, middle[1] + dy * scale


def _arrow(source: str, target: str, label: str) -> Iterator[str]:
    # A line to or from the state meets its border on the level of the other end.
    start = PLACES[source] if source in PLACES else _edge(source, PLACES[target])
    end = PLACES[target] if target in PLACES else _edge(target, PLACES[source])
    x1, y1 = _edge(source, end)
    x2, y2 = _edge(target, start)
    yield f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>'
    x, y = x1 + (x2 - x1) * 0.42, y1 + (y2 - y1) * 0.42
    flat = abs(y2 - y1) < 12
    anchor = "middle" if flat else "start"
    yield (
        f'<text class="small" x="{x if flat else x + 5:.0f}" y="{y - 5 if flat else y + 3:.0f}" '
        f'text-anchor="{anchor}">{label}</text>'
    )


def _box(kind: str) -> Iterator[str]:
    x, y = PLACES[kind]
    corner = f'x="{x - BOX[0] // 2}" y="{y - BOX[1] // 2}"'
    yield f'<rect {corner} width="{BOX[0]}" height="{BOX[1]}" rx="6"/>'
    yield f'<text x="{x}" y="{y + 5}" text-anchor="middle">{kind}</text>'
