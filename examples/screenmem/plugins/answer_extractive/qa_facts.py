"""What a screenshot says, as facts: an answer, and the words that tell what it is the answer to.

A fact gives each stem around its answer a level between 0 and 1: how surely a question with that
word is about this answer. The answer's own words and its label count fully, a neighbour's less,
and words elsewhere in the frame least.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
from qa_kinds import is_clock, is_day, number_in
from qa_language import is_stop, stems

__all__ = ["Fact", "Frame", "Span", "facts_of", "read_frame"]

LABEL, ROW, SECTION, OWN, ANSWERED = 1.0, 1.0, 0.9, 0.75, 0.75
NEAR, TITLE, FAR, FRAME = 0.6, 0.6, 0.45, 0.25

Box = tuple[int, int, int, int]


@attrs.frozen(order=True)
class Span:
    """Tokens of a frame, end exclusive."""

    start: int
    end: int


@attrs.frozen
class Line:
    """A line of the layout."""

    number: int
    span: Span
    box: Box
    text: str

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def middle(self) -> float:
        return (self.box[0] + self.box[2]) / 2


@attrs.frozen
class Cell:
    """A cell of a table."""

    r: int
    c: int
    span: Span
    text: str


@attrs.frozen
class Table:
    """A table of the layout."""

    header: bool
    cells: tuple[Cell, ...]

    def row(self, r: int) -> list[Cell]:
        return [cell for cell in self.cells if cell.r == r]

    def head(self, c: int) -> Cell | None:
        if not self.header:
            return None
        return next((cell for cell in self.cells if cell.r == 0 and cell.c == c), None)

    @property
    def rows(self) -> range:
        return range(int(self.header), 1 + max(cell.r for cell in self.cells))


@attrs.frozen
class Frame:
    """One screenshot as evidence."""

    digest: str
    texts: tuple[str, ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    blocks: tuple[tuple[Line, ...], ...]
    tables: tuple[Table, ...]
    stems: frozenset[str]
    title: frozenset[str]
    #: Height of ordinary text.
    typical: int

    def text(self, span: Span) -> str:
        return " ".join(self.texts[span.start : span.end])


@attrs.frozen
class Fact:
    """An answer that a frame gives, and what it is about."""

    kind: str
    answer: Span
    levels: dict[str, float]
    #: Stems of the label alone: what the answer is called.
    label: frozenset[str] = frozenset()
    #: What must be cited beside the answer to see that it is one.
    support: tuple[Span, ...] = ()
    #: Further answers that belong to this one.
    also: tuple[Span, ...] = ()
    #: Stems of which a question must name at least one: else it is not about this row.
    keys: frozenset[str] | None = None
    #: Columns of the row: what stands in the cell, and what the column is called.
    columns: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    #: Facts of one group that score alike are all answers.
    group: tuple[Any, ...] = ()
    #: Only for questions that ask for this kind, if any.
    only: tuple[str, ...] = ()


#: Lines that say whom a whole letter is about.
_ADDRESSED = re.compile(r"(?:to|from|dear|subject|re|attn|attention)\b:?", re.I)


def _span(at: dict[str, int], part: dict[str, Any]) -> Span:
    """Where the tokens of a line or a cell stand, which are one run of the frame's."""
    return Span(at[part["token_ids"][0]], at[part["token_ids"][-1]] + 1)


def read_frame(value: dict[str, Any]) -> Frame:
    """Read one frame of the evidence."""
    layout = value["layout"]
    at = {token["token_id"]: index for index, token in enumerate(value["tokens"])}
    lines = tuple(
        Line(n, _span(at, line), tuple(line["bbox"]), line["text"])
        for n, line in enumerate(layout["lines"])
    )
    by_id = {line["line_id"]: lines[n] for n, line in enumerate(layout["lines"])}
    boxes = [token["bbox"] for token in value["tokens"]]
    # Lines without descenders are lower; four fifths up the list stands ordinary text in full.
    heights = sorted(box[3] - box[1] for box in boxes)
    typical = heights[len(heights) * 4 // 5] if heights else 0
    big = [
        line.text
        for line in lines
        if _ADDRESSED.match(line.text)
        or (line.height >= 1.35 * typical and not _is_value(line.text))
    ]
    return Frame(
        digest=value["frame"],
        texts=tuple(token["text"] for token in value["tokens"]),
        boxes=tuple(tuple(box) for box in boxes),
        lines=lines,
        blocks=tuple(
            tuple(by_id[name] for name in block["line_ids"]) for block in layout["blocks"]
        ),
        tables=tuple(
            Table(
                table["header"],
                tuple(
                    Cell(cell["r"], cell["c"], _span(at, cell), cell["text"])
                    for cell in table["cells"]
                ),
            )
            for table in layout["tables"]
        ),
        stems=frozenset(stem for line in lines for stem in stems(line.text)),
        title=frozenset(stem for text in big for stem in stems(text)),
        typical=typical,
    )


def _is_value(text: str) -> bool:
    return number_in(text) is not None or sum(map(str.isdigit, text)) * 2 > len(text)


def _levels(frame: Frame, *layers: tuple[float, Iterable[str]]) -> dict[str, float]:
    """The highest level that any layer gives to a stem."""
    levels = dict.fromkeys(frame.stems, FRAME) | dict.fromkeys(frame.title, TITLE)
    for level, texts in layers:
        for text in texts:
            for stem in stems(text):
                levels[stem] = max(levels.get(stem, 0.0), level)
    return levels


def _labels(*texts: str) -> frozenset[str]:
    return frozenset(stem for text in texts for stem in stems(text))


def facts_of(frame: Frame) -> Iterator[Fact]:
    """Yield every fact of *frame*."""
    yield from _cells(frame)
    yield from _pairs(frame)
    yield from _charts(frame)
    yield from _events(frame)
    yield from _sentences(frame)


# --- tables ------------------------------------------------------------------------------------


def _cells(frame: Frame) -> Iterator[Fact]:
    for number, table in enumerate(frame.tables):
        if not table.header or len({cell.c for cell in table.cells}) < 2:
            continue
        for r in table.rows:
            row = table.row(r)
            for cell in row:
                yield _cell(frame, number, table, row, cell)


def _cell(frame: Frame, number: int, table: Table, row: Sequence[Cell], cell: Cell) -> Fact:
    head = table.head(cell.c)
    others = [other for other in row if other is not cell]
    names = [head.text] if head else []
    columns = [(other.text, h.text) for other in others if (h := table.head(other.c)) is not None]
    return Fact(
        kind="cell",
        answer=cell.span,
        levels=_levels(
            frame,
            (FAR, [name for _, name in columns]),
            (NEAR, [_heading(frame, min(c.span.start for c in table.cells))]),
            (ROW, [other.text for other in others]),
            (LABEL, [*names, cell.text]),
        ),
        label=_labels(*names),
        support=tuple(c.span for c in (row[0], head) if c is not None and c is not cell),
        keys=_labels(*(other.text for other in others)),
        columns=tuple((_labels(text), _labels(name)) for text, name in columns),
        group=("cell", number, cell.c),
    )


def _heading(frame: Frame, start: int) -> str:
    """The nearest heading before token *start*."""
    for line in reversed(frame.lines):
        if line.span.end > start:
            continue
        if _is_heading(frame, line):
            return line.text
    return ""


def _is_heading(frame: Frame, line: Line) -> bool:
    marked = re.fullmatch(r"\[[\w .-]+\]|\d+(?:\.\d+)*\.? [A-Z].{0,50}", line.text) is not None
    tall = line.height >= 1.1 * frame.typical and len(line.text.split()) <= 10
    return marked or (tall and not _is_value(line.text))


# --- labels and values -------------------------------------------------------------------------


def _pairs(frame: Frame) -> Iterator[Fact]:
    """``Label: value`` in a line, in a row, or in a card; ``label = value``."""
    found = [*_inline(frame), *_across(frame), *_cards(frame)]
    for label, value, home in found:
        heading = _heading(frame, min(label.start, value.start))
        section = heading if heading.startswith("[") else ""
        near = [frame.text(span) for pair in found if pair[2] == home for span in pair[:2]]
        yield Fact(
            kind="pair",
            answer=value,
            levels=_levels(
                frame,
                (NEAR, [*near, heading]),
                (SECTION, [section]),
                # Less than the label: what the value says is seldom what a question is about.
                (OWN, [frame.text(value)]),
                (LABEL, [frame.text(label)]),
            ),
            label=_labels(frame.text(label)),
            support=(label,),
        )


Pair = tuple[Span, Span, tuple[Any, ...]]


def _inline(frame: Frame) -> Iterator[Pair]:
    for b, block in enumerate(frame.blocks):
        for line in block:
            words = frame.texts[line.span.start : line.span.end]
            cut = next((i for i, word in enumerate(words) if word in ("=", ":") or _ends(word)), -1)
            label = cut + (words[cut] not in ("=", ":")) if cut >= 0 else 0
            if 0 < label <= 4 and cut + 1 < len(words) and words[0] not in ("def", "class"):
                start, end = line.span.start, line.span.end
                yield Span(start, start + label), Span(start + cut + 1, end), ("block", b)


def _ends(word: str) -> bool:
    return word.endswith(":") and any(map(str.isalpha, word))


def _across(frame: Frame) -> Iterator[Pair]:
    """A label and what stands to its right, where the row is no row of a wider table."""
    tabled = _tabled(frame) | {span for card in _cards(frame) for span in card[:2]}
    for left, right in zip(frame.lines, frame.lines[1:], strict=False):
        if {left.span, right.span} & tabled or not _beside(left, right):
            continue
        if left.text.endswith(":") or (_is_label(left.text) and not right.text.endswith(":")):
            home = next((t for t, table in enumerate(frame.tables) if _holds(table, left)), None)
            yield left.span, right.span, ("table", home if home is not None else left.number)


def _tabled(frame: Frame) -> set[Span]:
    """The cells of tables with a header."""
    return {cell.span for table in frame.tables if table.header for cell in table.cells}


def _holds(table: Table, line: Line) -> bool:
    return any(cell.span == line.span for cell in table.cells)


def _is_label(text: str) -> bool:
    return any(map(str.isalpha, text)) and number_in(text) is None and len(text.split()) <= 5


def _beside(left: Line, right: Line) -> bool:
    overlap = min(left.box[3], right.box[3]) - max(left.box[1], right.box[1])
    return overlap > 0.5 * min(left.height, right.height) and right.box[0] >= left.box[2]


def _cards(frame: Frame) -> Iterator[Pair]:
    """A label with its value under it, as on a dashboard."""
    for block in frame.blocks:
        if len(block) == 2 and _is_label(block[0].text) and _is_value_of(block[0], block[1]):
            yield block[0].span, block[1].span, ("card", block[0].number)


def _is_value_of(label: Line, value: Line) -> bool:
    bigger = value.height >= 1.15 * label.height
    return (
        any(map(str.isdigit, value.text))
        and len(value.text.split()) <= 5
        and (bigger or _is_value(value.text))
    )


def _charts(frame: Frame) -> Iterator[Fact]:
    """The number above each label on the axis of a bar chart."""
    for axis in _axes(frame):
        bars = [(label, _above(frame, label)) for label in axis]
        found = [(label, value) for label, value in bars if value is not None]
        if len(found) < 3:
            continue
        heading = _caption(frame, [value for _, value in found])
        for label, value in found:
            yield Fact(
                kind="pair",
                answer=value.span,
                levels=_levels(frame, (SECTION, [heading]), (LABEL, [label.text, value.text])),
                label=_labels(label.text, heading),
                support=(label.span,),
                keys=_labels(label.text),
                group=("chart", axis[0].number),
            )


def _caption(frame: Frame, lines: Sequence[Line]) -> str:
    """The nearest words above all of *lines*, within their width."""
    left, right = min(line.box[0] for line in lines), max(line.box[2] for line in lines)
    top = min(line.box[1] for line in lines)
    above = [
        line
        for line in frame.lines
        if line.box[3] <= top and left <= line.middle <= right and not _is_value(line.text)
    ]
    return max(above, key=lambda line: line.box[3]).text if above else ""


def _axes(frame: Frame) -> Iterator[list[Line]]:
    rows: dict[int, list[Line]] = {}
    for line in frame.lines:
        if len(line.text.split()) <= 2 and number_in(line.text) is None:
            rows.setdefault(line.box[3] // 4, []).append(line)
    for row in rows.values():
        if len(row) >= 3 and len({line.text for line in row}) == len(row):
            yield row


def _above(frame: Frame, label: Line) -> Line | None:
    """The nearest line above *label* in its column, if it is a number."""
    column = [
        line
        for line in frame.lines
        if line.box[3] <= label.box[1] and abs(line.middle - label.middle) < label.height
    ]
    nearest = max(column, key=lambda line: line.box[3], default=None)
    return nearest if nearest is not None and number_in(nearest.text) is not None else None


# --- calendars ---------------------------------------------------------------------------------


def _events(frame: Frame) -> Iterator[Fact]:
    """A title with a time under it, in the column of a day."""
    for block in frame.blocks:
        title, details = block[0], block[1:]
        times = [line for line in details if is_clock(line.text)]
        if not times or is_clock(title.text) or any(len(line.text.split()) > 7 for line in block):
            continue
        day = _day(frame, block)
        yield from _event(frame, title, list(details), times[0], day)


def _event(
    frame: Frame, title: Line, details: list[Line], time: Line, day: Line | None
) -> Iterator[Fact]:
    about = [day.text] if day else []
    levels = _levels(frame, (LABEL, [title.text, *about, *(line.text for line in details)]))
    rest = [line for line in details if line is not time]
    context = tuple(line.span for line in (day,) if line is not None)
    support = (title.span, *context)
    yield Fact(
        "event",
        title.span,
        levels,
        support=(time.span, *context),
        keys=_labels(*about, *(line.text for line in details)),
        group=("event",),
    )
    yield Fact(
        "event",
        time.span,
        levels,
        support=support,
        also=context,
        only=("when", "clock"),
        keys=_labels(title.text, *about, *(line.text for line in rest)),
    )
    for line in rest:
        yield Fact(
            "event",
            line.span,
            levels,
            support=support,
            keys=_labels(title.text, time.text, *about),
        )
    if day is not None:
        yield Fact(
            "event",
            day.span,
            levels,
            support=(title.span,),
            only=("day",),
            keys=_labels(title.text),
        )


def _day(frame: Frame, block: Sequence[Line]) -> Line | None:
    """The heading of the day above *block*."""
    middle, top = statistics.fmean(line.middle for line in block), block[0].box[1]
    days = [
        line
        for line in frame.lines
        if line.box[3] <= top and is_day(line.text) and len(line.text.split()) <= 3
    ]
    return min(days, key=lambda line: abs(line.middle - middle), default=None)


# --- sentences ---------------------------------------------------------------------------------


def _sentences(frame: Frame) -> Iterator[Fact]:
    headers = {line.number: (line, after) for line, after in _speakers(frame)}
    cells = _tabled(frame)
    asked = ""
    for block in frame.blocks:
        if all(line.span in cells for line in block):
            continue
        speaker = headers.get(_first_said(block))
        said = list(_split(frame, block))
        before = opening = ""
        for i, span in enumerate(said):
            text = frame.text(span)
            yield from _sentence(frame, span, (before, opening), speaker, asked)
            before, opening = text, text if text.endswith(":") else opening
            if text.endswith("?"):
                asked = text
            elif speaker is not None and not any(frame.text(s).endswith("?") for s in said[:i]):
                asked = ""


def _first_said(block: Sequence[Line]) -> int:
    """The number of the first line of *block* that is more than a name or a time."""
    for line in block:
        if len(line.text.split()) > 2:
            return line.number
    return -1


def _sentence(
    frame: Frame,
    span: Span,
    before: tuple[str, str],
    speaker: tuple[Line, Line] | None,
    asked: str,
) -> Iterator[Fact]:
    text = frame.text(span)
    if text.endswith("?") or len(text.split()) < 2:
        return
    heading = _heading(frame, span.start)
    names = [speaker[0].text] if speaker else []
    levels = _levels(
        frame,
        (FAR, before[:1]),
        (NEAR, [heading, before[1]]),
        (ANSWERED, [asked]),
        (LABEL, [*names, text]),
    )
    yield Fact("sentence", span, levels)
    if speaker is not None:
        first_person = re.search(r"\b(?:I|we|my|our|me|us)\b", text, re.I) is not None
        if first_person:
            yield Fact(
                "speaker",
                speaker[0].span,
                levels,
                also=(span,),
                only=("person",),
                support=(),
            )


def _speakers(frame: Frame) -> Iterator[tuple[Line, Line]]:
    """Who speaks, by the number of the line that is spoken: a name and a time above a text."""
    for left, right in zip(frame.lines, frame.lines[1:], strict=False):
        name = re.fullmatch(r"[A-Z][\w.'-]*(?: [A-Z][\w.'-]*){0,2}", left.text)
        if name is None or not _beside(left, right) or not is_clock(right.text):
            continue
        for line in frame.lines:
            below = line.box[1] - left.box[3]
            if 0 <= below <= 2 * left.height and abs(line.box[0] - left.box[0]) <= left.height:
                yield _spoken(left, line), right
                break


def _spoken(name: Line, line: Line) -> Line:
    return attrs.evolve(name, number=line.number)


def _split(frame: Frame, block: Sequence[Line]) -> Iterator[Span]:
    """The sentences of *block*; lines that wrap are joined."""
    right = max(line.box[2] for line in block)
    start = block[0].span.start
    for i, line in enumerate(block):
        below = block[i + 1] if i + 1 < len(block) else None
        for at in range(max(start, line.span.start), line.span.end - 1):
            if _stops(frame.texts[at], frame.texts[at + 1]):
                yield Span(start, at + 1)
                start = at + 1
        if below is None or not _wraps(frame, line, below, right):
            yield Span(start, line.span.end)
            start = below.span.start if below is not None else line.span.end


def _stops(word: str, following: str) -> bool:
    ends = re.fullmatch(r".*[^\d.][.!?][\"')”]?|.*\d[!?]|\d{2,}\.|.*\d{2}\.", word) is not None
    return (
        ends
        and word not in ("no.", "e.g.", "i.e.", "Dr.", "Mr.", "Mrs.", "vs.")
        and (following[:1].isupper() or following[:1] in "\"'(“")
    )


def _wraps(frame: Frame, line: Line, below: Line, right: int) -> bool:
    last, first = frame.texts[line.span.end - 1], frame.texts[below.span.start]
    if below.span.start != line.span.end or re.search(r"[.!?:;]$", last):
        return False
    x0, _, x1, _ = frame.boxes[below.span.start]
    full = line.box[2] + (x1 - x0) > right
    # A capital may begin the next sentence, unless this line ends in the middle of a phrase.
    open_end = len(line.text.split()) > 5 and (last[:1].isupper() or is_stop(last))
    word = r"[^\W\d_][\w'’-]*[.,;:!?)]*"
    return full and (first[:1].islower() or open_end) and re.fullmatch(word, first) is not None
