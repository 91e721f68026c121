"""Does a citation check out against the stored frame and its recorded tokens?

Everything here runs in the host and trusts no plugin: the frame's bytes are hashed again, its size
is read from those bytes, and the quote is rebuilt from the recorded tokens.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import attrs

from nxkernel import _canonical
from nxkernel._pickling import Rooted
from nxkernel.errors import StorageError
from nxkernel.types import BBox, Citation, Digest

__all__ = ["CitationProblem", "Evidence", "Library", "StoredLibrary", "Token", "check_citation"]

#: The kind of record that holds a frame's tokens: ``{"tokens": [{"text", "bbox"}]}``.
TOKENS = "tokens"
_PNG = b"\x89PNG\r\n\x1a\n"


@attrs.frozen
class Token:
    """One recognised word and where it stands in the frame."""

    text: str
    bbox: BBox


@attrs.frozen(kw_only=True)
class Evidence:
    """What is on record about one frame."""

    frame: Digest
    #: In pixels, as the stored image says.
    width: int
    height: int
    tokens: tuple[Token, ...]


class Library(Protocol):
    """Where citations are looked up."""

    def evidence(self, frame: Digest) -> Evidence | None:
        """Return what is on record about *frame*, or None for an unknown frame.

        Raises:
            StorageError: when the stored bytes do not match the digest.
        """


class _Blobs(Protocol):
    def has(self, digest: Digest) -> bool: ...

    def get(self, digest: Digest) -> bytes: ...


class _Record(Protocol):
    @property
    def body(self) -> bytes: ...


class _Records(Protocol):
    def of(self, kind: str, subject: Digest) -> Iterable[_Record]: ...


class StoredLibrary(Rooted):
    """The library of a blob store and a record store."""

    _instead = "make it there, over stores that are opened there"

    def __init__(self, blobs: _Blobs, records: _Records) -> None:
        self._blobs = blobs
        self._records = records

    def evidence(self, frame: Digest) -> Evidence | None:
        """Return the evidence of a stored PNG; the newest record of its tokens counts."""
        recorded = list(self._records.of(TOKENS, frame))
        if not recorded or not self._blobs.has(frame):
            return None
        width, height = _png_size(self._blobs.get(frame))
        body = _canonical.decode(recorded[-1].body)
        tokens = tuple(Token(token["text"], _box(token["bbox"])) for token in body["tokens"])
        return Evidence(frame=frame, width=width, height=height, tokens=tokens)


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height from the IHDR chunk (PNG, third edition, 11.2.1)."""
    if len(data) < 24 or data[:8] != _PNG or data[12:16] != b"IHDR":
        raise StorageError("the stored frame is no PNG; store screenshots as PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _box(value: Iterable[int]) -> BBox:
    x0, y0, x1, y1 = value
    return x0, y0, x1, y1


@attrs.frozen
class CitationProblem(Exception):
    """Why a citation does not check out."""

    #: Stable, for example ``quote.mismatch``.
    reason: str
    message: str


def read_citation(value: Any) -> Citation:
    """Read a citation as a plugin wrote it: exactly the five fields, of the right types.

    Raises:
        CitationProblem: ``citation.malformed``.
    """
    names = {field.name for field in attrs.fields(Citation)}
    if not isinstance(value, Mapping) or set(value) != names:
        raise CitationProblem("citation.malformed", f"expected the keys {', '.join(sorted(names))}")
    box = value["bbox"]
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(_is_int, box)):
        raise CitationProblem("citation.malformed", "bbox is not four integers")
    if not all(_is_int(value[name]) for name in ("start", "end")):
        raise CitationProblem("citation.malformed", "start and end are not integers")
    if not all(isinstance(value[name], str) for name in ("frame", "quote")):
        raise CitationProblem("citation.malformed", "frame and quote are not strings")
    return Citation(
        frame=Digest(value["frame"]),
        start=value["start"],
        end=value["end"],
        bbox=_box(box),
        quote=value["quote"],
    )


def _is_int(value: Any) -> bool:
    return type(value) is int


def check_citation(citation: Citation, library: Library) -> None:
    """Compare *citation* with the stored frame and its recorded tokens.

    Raises:
        CitationProblem: with the first reason that applies, in the order ``frame.unknown``,
            ``frame.corrupt``, ``span.outside``, ``bbox.mismatch``, ``bbox.outside``,
            ``quote.mismatch``.
    """
    evidence = _find(citation.frame, library)
    if not 0 <= citation.start < citation.end <= len(evidence.tokens):
        raise CitationProblem(
            "span.outside",
            f"the frame has {len(evidence.tokens)} tokens; "
            f"{citation.start} to {citation.end} is no span of them",
        )
    tokens = evidence.tokens[citation.start : citation.end]
    _check_box(citation.bbox, tokens, evidence)
    if citation.quote != " ".join(token.text for token in tokens):
        raise CitationProblem("quote.mismatch", "the quote is not the text of the cited tokens")


def _find(frame: Digest, library: Library) -> Evidence:
    try:
        evidence = library.evidence(frame)
    except StorageError as error:
        raise CitationProblem("frame.corrupt", error.message) from error
    if evidence is None:
        raise CitationProblem("frame.unknown", "no stored frame with recorded tokens has this name")
    return evidence


def _check_box(box: BBox, tokens: tuple[Token, ...], evidence: Evidence) -> None:
    if box != union(token.bbox for token in tokens):
        raise CitationProblem("bbox.mismatch", "the box is not the smallest around the tokens")
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= evidence.width and 0 <= y0 < y1 <= evidence.height):
        raise CitationProblem(
            "bbox.outside", f"the box leaves the frame of {evidence.width} x {evidence.height}"
        )


def union(boxes: Iterable[BBox]) -> BBox:
    """Return the smallest box around *boxes*, of which there is at least one."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)
