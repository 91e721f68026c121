"""What screenmem offers to its plugins: from a folder of screenshots to cited answers."""

from __future__ import annotations

from typing import Any

import nxkernel as nx

hookspec = nx.HookspecMarker("screenmem")

#: Everything here is plain data; the folder ``contracts`` says what it looks like.
Json = dict[str, Any]


@hookspec(timeout=10, idempotent=True)
def list_frames() -> list[str]:
    """Return the names of the screenshots that this source has."""


@hookspec(firstresult=True, timeout=10, idempotent=True)
def read_frame(name: str) -> bytes:
    """Return the PNG called *name*, or None if this source does not have it."""


@hookspec(timeout=60)
def read_tokens(frame: Json) -> list[Json]:
    """Return the words of *frame* in reading order.

    *frame* has ``frame_id`` (the digest of its bytes), ``name``, ``width``, ``height`` in pixels
    and the PNG ``image``. A word is a token as nxkernel publishes it: with ``token_id``, ``text``,
    ``bbox`` (x0, y0, x1, y1; x1 and y1 exclusive) and ``confidence_bp`` (0 to 10000). One that is
    invalid, or lies outside the frame, is dropped alone.
    """


@hookspec(firstresult=True, timeout=10)
def assemble_layout(frame: Json, tokens: list[Json]) -> Json:
    """Return lines, blocks and tables made of *tokens*; *frame* comes without its bytes.

    They are artifacts as nxkernel publishes them, each of which stands for itself.
    """


@hookspec(timeout=10)
def index_frame(document: Json) -> int:
    """Make a document findable and return how many units of text were indexed.

    *document* has ``frame`` (the digest), ``tokens`` and ``layout``.
    """


@hookspec(timeout=10, idempotent=True)
def search_index(query: str, limit: int) -> list[Json]:
    """Return the best *limit* units for the words of *query*, best first."""


@hookspec(firstresult=True, timeout=10, idempotent=True)
def retrieve(question: str, limit: int) -> list[Json]:
    """Return the best *limit* frames for *question*, best first."""


@hookspec(firstresult=True, timeout=20, idempotent=True, returns="urn:nxkernel:sst:answer:1")
def answer(question: str, evidence: list[Json]) -> Json:
    """Answer *question* from *evidence* with claims that cite it, or return None.

    *evidence* holds the retrieved documents, best first. The kernel checks every citation against
    what is stored; what does not check out is removed, and the reason is given.
    """
