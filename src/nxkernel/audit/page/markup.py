"""Elements of HTML and SVG as text; whatever is not an element already is escaped."""

from __future__ import annotations

import html

__all__ = ["Markup", "fragment", "legend", "number", "tag"]


class Markup(str):
    """Text that is markup, and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element; ``class_`` is class, ``aria_label`` aria-label, None is left out."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{shown}>{fragment(*children)}</{name}>")


def fragment(*children: object) -> Markup:
    """Return *children* one after another; None is nothing."""
    return Markup("".join(_child(child) for child in children if child is not None))


def _child(child: object) -> str:
    return child if isinstance(child, Markup) else html.escape(_text(child))


def _text(value: object) -> str:
    """As text; control characters, which no page may have, are shown."""
    if isinstance(value, float):
        return number(value)
    return "".join(c if c.isprintable() or c == " " else repr(c)[1:-1] for c in str(value))


def number(value: float) -> str:
    """Return a coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def legend(*names: tuple[str, str]) -> Markup:
    """Return what the colours mean: class and name of each."""
    parts = (fragment(tag("i", class_=kind), name) for kind, name in names)
    return tag("p", *(tag("span", part) for part in parts), class_="legend")
