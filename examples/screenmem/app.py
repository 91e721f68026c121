"""screenmem: a memory of screenshots. The application: it composes, stores, checks and draws.

Plugins read, lay out, index, retrieve and answer; each of them in a confined worker. What is kept
and what is believed is decided here, in the host: raw bytes are stored before anything is derived
from them, and nothing is evidence but what is stored. The kernel lets no claim out whose citations
do not check out against that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel.pipeline import Evidence, StoredLibrary
from nxkernel.storage import BlobStore, RecordStore
from nxkernel.types import Digest

from . import hookspecs

__all__ = ["Frame", "Memory", "Missing", "annotate", "build_kernel", "evaluate"]

HERE = Path(__file__).resolve().parent
PLUGINS = HERE / "plugins"
CONTRACTS = HERE / "contracts"
SCREENS = HERE / "screens"
QUESTIONS = HERE / "questions.json"

#: Frames that are given to the answering plugin as evidence.
EVIDENCE = 6
_PNG = b"\x89PNG\r\n\x1a\n"

Json = dict[str, Any]
#: When no plugin has anything to say.
_NO_ANSWER: Json = {
    "claims": [],
    "state": "no_evidence",
    "rejected": [],
    "citations": {"checked": 0, "valid": 0},
}
#: Called after each frame with its name, its number (from 1) and how many there are.
Progress = Callable[[str, int, int], None]


def build_kernel(
    run: nx.Run,
    media_dir: Path | str = SCREENS,
    *,
    plugins: Path | str = PLUGINS,
    lock: Path | str | None = None,
    sandbox: nx.Sandbox | None = None,
    hosting: nx.Hosting | None = None,
) -> nx.Kernel:
    """Compose the kernel: the plugins of screenmem may read *media_dir* and ask the index.

    Raises:
        KernelConfigError: when the parts do not fit together.
    """
    folder = Path(media_dir).absolute()
    return nx.Kernel(
        "screenmem",
        specs=[hookspecs],
        run=run,
        plugins=nx.discover(plugins),
        middleware=nx.standard_stack(run, contracts=CONTRACTS),
        sandbox=sandbox or nx.Sandbox(require="confined"),
        hosting=hosting,
        grants={
            "source.folder": nx.Grant(read=("{media_dir}",)),
            "index.fts5": nx.Grant(write=("{run_dir}",)),
            "retrieve.bm25": nx.Grant(calls=("search_index",)),
        },
        lock=lock,
        settings={"source.folder": {"folder": str(folder)}},
        paths={"media_dir": folder},
        evidence=Shelf(),
    )


class Shelf:
    """What the citations of answers are looked up in: the stores of a memory, once it is open."""

    def __init__(self) -> None:
        self.library: StoredLibrary | None = None

    def evidence(self, frame: Digest) -> Evidence | None:
        """Return what is on record about *frame*; before a memory is open, nothing is."""
        return self.library.evidence(frame) if self.library is not None else None


@attrs.frozen(kw_only=True)
class Frame:
    """A screenshot in the memory."""

    digest: str
    name: str
    width: int
    height: int

    def artifact(self) -> Json:
        """Return what plugins are told of it."""
        facts = {"frame_id": self.digest, "name": self.name}
        return {**facts, "width": self.width, "height": self.height}


@attrs.frozen(kw_only=True)
class Missing:
    """A screenshot that could not be read, and why."""

    name: str
    #: The hook that failed, or ``list_frames`` for a whole source.
    hook: str
    plugin: str
    code: str
    message: str


class Memory:
    """Screenshots, what was derived from them, and the questions one can ask of them."""

    def __init__(self, kernel: nx.Kernel, run: nx.Run) -> None:
        """Open the stores in the data directory of *run*; *kernel* is entered by the caller.

        Raises:
            StorageError: when the stores cannot be opened.
        """
        store = run.data_dir / "store"
        self._kernel = kernel
        self._blobs = BlobStore(store / "blobs")
        self._records = RecordStore(store / "records.sqlite", self._blobs, run.clock)
        if isinstance(kernel.evidence, Shelf):
            kernel.evidence.library = StoredLibrary(self._blobs, self._records)
        self.frames: dict[str, Frame] = {}
        self.missing: list[Missing] = []

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()

    # -- ingest ----------------------------------------------------------------------------------

    def ingest(self, progress: Progress | None = None) -> None:
        """Read every screenshot of every source; one that fails is recorded as missing."""
        names = self._names()
        for number, name in enumerate(names, 1):
            self._ingest(name)
            if progress is not None:
                progress(name, number, len(names))

    def _names(self) -> list[str]:
        result = self._kernel.call("list_frames")
        self._note("(source)", result)
        return sorted({name for outcome in result if outcome.ok for name in outcome.value or ()})

    def _ingest(self, name: str) -> None:
        png = self._value(name, self._kernel.call("read_frame", name=name))
        if png is None:
            return
        # Raw first: from here on the bytes are kept, whatever becomes of them.
        digest = self._blobs.put(png)
        size = _png_size(png)
        if size is None:
            self._lose(name, "read_frame", "", "frame.not_png", f"{name} is no PNG")
            return
        frame = Frame(digest=digest, name=name, width=size[0], height=size[1])
        self._records.append("frame", digest, "", attrs.asdict(frame))
        self._derive(frame, png)

    def _derive(self, frame: Frame, png: bytes) -> None:
        facts = frame.artifact()
        tokens = self._first(frame, "read_tokens", frame=facts | {"image": png})
        if tokens is None:
            return
        self._records.append("tokens", frame.digest, tokens[0], {"tokens": tokens[1]})
        layout = self._first(frame, "assemble_layout", frame=facts, tokens=tokens[1])
        if layout is None:
            return
        self._records.append("layout", frame.digest, layout[0], layout[1])
        document = {"frame": frame.digest, "tokens": tokens[1], "layout": layout[1]}
        if self._first(frame, "index_frame", document=document) is not None:
            self.frames[frame.digest] = frame

    def _first(self, about: Frame, hook: str, /, **arguments: Any) -> tuple[str, Any] | None:
        """The first answer to *hook* and who gave it; None and a note when there is none."""
        result = self._kernel.call(hook, **arguments)
        for outcome in result:
            if outcome.ok and outcome.value is not None:
                return outcome.plugin, outcome.value
        self._note(about.name, result)
        return None

    def _value(self, name: str, result: nx.HookResult) -> Any:
        if result.value is None:
            self._note(name, result)
        return result.value

    def _note(self, name: str, result: nx.HookResult) -> None:
        """Record why *result* is not what was hoped for."""
        failed = [outcome for outcome in result if outcome.error is not None]
        for outcome in failed:
            error = outcome.error
            if error is not None:
                self._lose(name, result.hook, outcome.plugin, error.code, error.message)
        if not failed and not result.outcomes:
            self._lose(name, result.hook, "", "hook.failed", f"no plugin answers {result.hook}")

    def _lose(self, name: str, hook: str, plugin: str, code: str, message: str) -> None:
        self.missing.append(
            Missing(name=name, hook=hook, plugin=plugin, code=code, message=message)
        )

    # -- ask -------------------------------------------------------------------------------------

    def ask(self, question: str) -> Json:
        """Answer *question* with claims that check out, and say what could not be looked at.

        Returns ``question``, ``state`` (``ok``, ``partial``, ``no_evidence``, or ``error`` when a
        plugin failed and nothing was answered), ``claims`` with ``text`` and ``citations``,
        ``rejected`` claims with their reasons, ``citations`` (``checked``, ``valid``), ``errors``
        and ``missing``. What holds and what was removed is the kernel's word.
        """
        hits = self._kernel.call("retrieve", question=question, limit=EVIDENCE)
        evidence = [self._document(hit["frame"]) for hit in hits.value or ()]
        result = None
        if evidence:
            result = self._kernel.call("answer", question=question, evidence=evidence)
        answer = result.value if result is not None and result.value is not None else _NO_ANSWER
        errors = _errors(hits) + (_errors(result) if result is not None else [])
        failed = bool(errors) and not answer["claims"]
        return {
            "question": question,
            "state": "error" if failed else answer["state"],
            "claims": [self._named(claim) for claim in answer["claims"]],
            "rejected": answer["rejected"],
            "citations": answer["citations"],
            "errors": errors,
            "missing": [attrs.asdict(missing) for missing in self.missing],
        }

    def _document(self, digest: str) -> Json:
        """What is on record about a frame, as evidence for a plugin."""
        (*_, tokens), (*_, layout) = (self._records.of(k, digest) for k in ("tokens", "layout"))
        return {"frame": digest, "tokens": tokens.value["tokens"], "layout": layout.value}

    def _named(self, claim: Json) -> Json:
        """*claim* with the name of the file beside each digest."""
        citations = [
            citation | {"name": self.frames[citation["frame"]].name}
            for citation in claim["citations"]
        ]
        return {"text": claim["text"], "citations": citations}

    def png(self, digest: str) -> bytes:
        """Return the stored bytes of a frame, hashed again.

        Raises:
            StorageError: when they are not what was stored.
        """
        return self._blobs.get(digest)


def _errors(result: nx.HookResult) -> list[Json]:
    found = [
        {"plugin": outcome.plugin, "code": outcome.error.code, "message": outcome.error.message}
        for outcome in result
        if outcome.error is not None
    ]
    if not found and result.error is not None:
        found = [{"plugin": "", "code": result.error.code, "message": result.error.message}]
    return found


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24 or data[:8] != _PNG or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return (width, height) if width and height else None


# --- questions with known answers ---------------------------------------------------------------


def evaluate(questions: Iterable[Mapping[str, Any]], answers: Sequence[Json]) -> Json:
    """Compare *answers* with what the *questions* expect.

    Returns ``asked``, ``answered``, ``correct`` (questions that can be answered), ``no_evidence``
    (those that cannot and were refused), and ``wrong``, the ids of all others.
    """
    counts = {"asked": 0, "answered": 0, "correct": 0, "no_evidence": 0}
    wrong = []
    for question, answer in zip(questions, answers, strict=True):
        expected = question["expected"]
        refused = answer["state"] == "no_evidence"
        counts["asked"] += 1
        counts["answered"] += bool(answer["claims"])
        right = refused if expected.get("no_evidence") else _is_right(answer, question)
        counts["no_evidence" if expected.get("no_evidence") else "correct"] += right
        if not right:
            wrong.append(question["id"])
    return counts | {"wrong": wrong}


def _is_right(answer: Json, question: Mapping[str, Any]) -> bool:
    """Whether the expected words were said, on the word of the expected screenshot."""
    said = " ".join(claim["text"] for claim in answer["claims"]).casefold()
    cited = {citation["name"] for claim in answer["claims"] for citation in claim["citations"]}
    words = all(text.casefold() in said for text in question["expected"]["contains"])
    return words and question.get("screen", "") in cited | {""}


# --- pictures -----------------------------------------------------------------------------------

_WIDTH, _GAP, _TITLE = 760, 24, 26
_COLOURS = ((214, 39, 40), (31, 119, 180), (44, 130, 44), (148, 80, 189), (200, 100, 0))


def annotate(memory: Memory, answers: Sequence[Json], target: Path | str) -> Path | None:
    """Draw the cited boxes of *answers* into one PNG of all cited screenshots.

    Each answer has its number, counted from 1, and one colour. Returns *target*, or None when
    nothing is cited.
    """
    cited: dict[str, list[tuple[int, Sequence[int]]]] = {}
    for number, answer in enumerate(answers, 1):
        for claim in answer["claims"]:
            for citation in claim["citations"]:
                cited.setdefault(citation["frame"], []).append((number, citation["bbox"]))
    if not cited:
        return None
    names = sorted(cited, key=lambda digest: memory.frames[digest].name)
    _sheet([_picture(memory, digest, cited[digest]) for digest in names]).save(target)
    return Path(target)


def _picture(memory: Memory, digest: str, boxes: Sequence[tuple[int, Sequence[int]]]) -> Any:
    """One screenshot with its boxes, its name above it, scaled to the width of a column."""
    from io import BytesIO

    from PIL import Image, ImageDraw, ImageFont

    image = Image.open(BytesIO(memory.png(digest))).convert("RGB")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for number, (x0, y0, x1, y1) in dict.fromkeys((n, tuple(box)) for n, box in boxes):
        colour = _COLOURS[number % len(_COLOURS)]
        draw.rectangle((x0 - 3, y0 - 3, x1 + 2, y1 + 2), outline=colour, width=2)
        place = (x0 - 1, max(0, y0 - 16))
        left, top, right, bottom = draw.textbbox(place, str(number), font=font)
        draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=colour)
        draw.text(place, str(number), fill=(255, 255, 255), font=font)
    image = image.resize((_WIDTH, max(1, image.height * _WIDTH // image.width)))
    titled = Image.new("RGB", (_WIDTH, image.height + _TITLE), (255, 255, 255))
    ImageDraw.Draw(titled).text((2, 4), memory.frames[digest].name, fill=(60, 60, 60), font=font)
    titled.paste(image, (0, _TITLE))
    return titled


def _sheet(pictures: Sequence[Any]) -> Any:
    """Put *pictures* below each other in up to two columns of about the same height."""
    from PIL import Image

    columns: list[list[Any]] = [[] for _ in range(min(2, len(pictures)))]
    heights = [_GAP] * len(columns)
    for picture in pictures:
        shortest = heights.index(min(heights))
        columns[shortest].append((heights[shortest], picture))
        heights[shortest] += picture.height + _GAP
    size = (_GAP + len(columns) * (_WIDTH + _GAP), max(heights))
    sheet = Image.new("RGB", size, (225, 228, 232))
    for column, placed in enumerate(columns):
        for top, picture in placed:
            sheet.paste(picture, (_GAP + column * (_WIDTH + _GAP), top))
    return sheet
