"""The index finds units, the retriever ranks frames by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.examples.documents import document, recorded
from tests.unit.examples.loading import Context, load


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Any]:
    plugin = load("index_fts5").Plugin(Context(run_dir=tmp_path))
    for name in sorted(recorded()):
        assert plugin.index_frame(document(name)) > 0
    yield plugin
    plugin._database.close()


def digest(name: str) -> str:
    found: str = recorded()[name]["digest"]
    return found


def test_rows_are_found_with_the_names_of_their_columns(index: Any) -> None:
    """A row of a table is one unit in which each cell follows its column's name."""
    hits = index.search_index("warden Razorbill", 5)
    assert hits[0]["frame"] == digest("huts.png")
    (row,) = (hit["text"] for hit in hits if "Hut Razorbill" in hit["text"])
    assert "Warden Piet Arkwood" in row


def test_best_first_and_limited(index: Any) -> None:
    """Hits come by descending score, at most as many as asked for."""
    hits = index.search_index("the station reading", 5)
    assert len(hits) == 5
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


@pytest.mark.parametrize("query", ['"', "AND OR NOT", "a* NEAR(b)", "text:x", "???", "' OR 1=1 --"])
def test_a_query_is_words_and_never_syntax(index: Any, query: str) -> None:
    """Whatever is asked is searched as words."""
    assert isinstance(index.search_index(query, 3), list)


def test_indexing_again_replaces(index: Any) -> None:
    """A frame that is indexed twice is found once."""
    before = index.search_index("Razorbill", 50)
    index.index_frame(document("huts.png"))
    assert index.search_index("Razorbill", 50) == before


def test_the_order_of_indexing_does_not_matter(tmp_path: Path, index: Any) -> None:
    """The same documents in another order give the same hits in the same order."""
    other = load("index_fts5").Plugin(Context(run_dir=tmp_path / ".."))
    other._path = tmp_path / "other.sqlite"
    for name in sorted(recorded(), reverse=True):
        other.index_frame(document(name))
    query = "Room Anchor open day archive"
    assert other.search_index(query, 40) == index.search_index(query, 40)
    other._database.close()


def test_frames_are_ranked_by_their_best_units() -> None:
    """The retriever asks the kernel for units and sums the best of each frame."""
    hits = [
        {"frame": frame, "start": 0, "end": 1, "text": "x", "score": score}
        for frame, score in [("long", 30)] * 9 + [("short", 50)] * 3 + [("other", 1)]
    ]
    context = Context(replies={"search_index": [hits[:5], hits[5:]]})
    plugin = load("retrieve_bm25").Plugin(context)
    assert plugin.retrieve("What is the rate of the pump?", 2) == [
        {"frame": "short", "score": 150},
        {"frame": "long", "score": 120},
    ]
    assert context.calls == [("search_index", {"query": "rate pump?", "limit": 24})]


def test_a_question_of_small_words_is_still_asked() -> None:
    """If every word is common, all of them are searched."""
    context = Context(replies={"search_index": [[]]})
    assert load("retrieve_bm25").Plugin(context).retrieve("What is it?", 3) == []
    assert context.calls[0][1]["query"] == "What is it?"


def test_the_rows_of_the_index_are_counted(tmp_path: Path) -> None:
    """What is written and found is reported, for the record of the call."""
    context = Context(run_dir=tmp_path)
    plugin = load("index_fts5").Plugin(context)
    units = plugin.index_frame(document("huts.png"))
    hits = plugin.search_index("Razorbill", 50)
    plugin._database.close()
    assert context.rows == [len(hits), units]
    assert hits
