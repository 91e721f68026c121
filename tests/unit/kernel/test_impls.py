"""What a plugin implements: agreement with its manifest, and what is remembered of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.errors import PluginDisabled
from nxkernel.kernel.impls import MAX_IMPLS, ImplCache, agree
from nxkernel.plugins.manifest import HookEntry
from nxkernel.types import HookName, ImplFacts, PluginId

DIGEST = "sha256:" + "ab" * 32
FACTS = (
    ImplFacts(impl="again", hook=HookName("read"), wrapper=True),
    ImplFacts(impl="read", hook=HookName("read"), args=("frame",), kwargs=("lang",)),
)


def named(*hooks: str) -> list[ImplFacts]:
    return [ImplFacts(impl=hook, hook=HookName(hook)) for hook in hooks]


def test_the_same_hooks_agree() -> None:
    """In any order, and implemented any number of times."""
    agree(PluginId("p"), named("a", "b"), named("b", "a", "a"))


@pytest.mark.parametrize(
    ("declared", "found", "words"),
    [
        (["a", "b"], ["a"], "the manifest names 'b', the code does not implement it"),
        (["a"], ["a", "b"], "the code implements 'b', the manifest does not name it"),
        (["c", "a"], ["b"], "the code implements 'b', the manifest does not name it"),
    ],
)
def test_other_hooks_disable_the_plugin(declared: list[str], found: list[str], words: str) -> None:
    """The first difference in the order of the alphabet is told, the rest is in the details."""
    with pytest.raises(PluginDisabled, match=words) as caught:
        agree(PluginId("p"), named(*declared), named(*found))
    assert (caught.value.code, caught.value.plugin) == ("plugin.handshake", "p")
    assert caught.value.details == {"declared": sorted(declared), "found": sorted(found)}


TRUE = HookEntry(
    hook=HookName("read"), impl="read", args=("frame", "lang"), wrapper=False, trylast=False
)


def test_what_a_table_says_of_a_hookimpl_is_true_of_one() -> None:
    """A name alone leaves everything open; of several hookimpls one has to be as it says."""
    entries = [
        HookEntry(hook=HookName("read")),
        TRUE,
        HookEntry(hook=HookName("read"), wrapper=True),
    ]
    agree(PluginId("p"), named("read"), FACTS, entries)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"impl": "elsewhere"}, "impl = 'elsewhere'"),
        ({"args": ("frame",)}, r"args = \('frame',\)"),
        ({"wrapper": True}, "wrapper = True"),
        ({"trylast": True}, "trylast = True"),
        ({"tryfirst": True}, "tryfirst = True"),
        ({"optional": True}, "optional = True"),
    ],
)
def test_a_table_that_is_wrong_disables_the_plugin(wrong: dict[str, Any], words: str) -> None:
    """The handshake must agree with the manifest in everything that it says."""
    with pytest.raises(PluginDisabled, match=words) as caught:
        agree(PluginId("p"), named("read"), FACTS, [attrs.evolve(TRUE, **wrong)])
    assert caught.value.code == "plugin.handshake"


def test_the_number_of_hookimpls_is_limited() -> None:
    """A plugin cannot multiply what a fan-out costs everybody."""
    many = [ImplFacts(impl=f"a{n}", hook=HookName("a")) for n in range(MAX_IMPLS + 1)]
    agree(PluginId("p"), named("a"), many[:-1])
    with pytest.raises(PluginDisabled, match="257 hookimpls; the limit is 256"):
        agree(PluginId("p"), named("a"), many)


def test_what_was_learned_is_remembered(tmp_path: Path) -> None:
    """By another kernel of the same project too, and for that code only."""
    ImplCache(tmp_path / "new" / "folder", "demo").put(DIGEST, FACTS)
    cache = ImplCache(tmp_path / "new" / "folder", "demo")
    assert cache.get(DIGEST) == FACTS
    assert cache.get("sha256:" + "cd" * 32) is None
    assert ImplCache(tmp_path / "new" / "folder", "other").get(DIGEST) is None


def test_a_plugin_without_hookimpls_is_remembered_as_such(tmp_path: Path) -> None:
    """Nothing is an answer, and not the lack of one."""
    cache = ImplCache(tmp_path, "demo")
    cache.put(DIGEST, ())
    assert cache.get(DIGEST) == ()


@given(st.binary(max_size=100))
def test_a_corrupt_entry_is_ignored(data: bytes) -> None:
    """Whatever stands there: the plugin is asked again."""
    assert _read_back(data) is None


@pytest.mark.parametrize(
    "change",
    [
        {"project": "other"},
        {"code_digest": "sha256:00"},
        {"impls": [{"impl": "__init__", "hook": "read"}]},
        {"impls": [{"impl": "a b", "hook": "read"}]},
        {"impls": [{"impl": "read", "hook": "read", "args": ["x", "x"]}]},
        {"impls": [{"impl": "read", "hook": "read", "args": "frame"}]},
        {"impls": [{"hook": "read"}]},
        {"impls": None},
    ],
)
def test_an_entry_that_says_something_else_is_ignored(change: dict[str, object]) -> None:
    """Another plugin's, or names that no function can have."""
    entry = {"project": "demo", "code_digest": DIGEST, "impls": [{"impl": "read", "hook": "read"}]}
    assert _read_back(json.dumps(entry).encode()) == tuple(named("read"))
    assert _read_back(json.dumps({**entry, **change}).encode()) is None


def test_a_deep_entry_is_ignored() -> None:
    """Nesting beyond every stack is no answer either."""
    assert _read_back(b'{"project":' + b"[" * 100_000) is None


def _read_back(data: bytes) -> object:
    """What a cache makes of an entry with this text."""
    folder = _Folder()
    cache = ImplCache(folder.path, "demo")  # type: ignore[arg-type]
    folder.path.data = data
    return cache.get(DIGEST)


class _Folder:
    """A folder in which every file has the same bytes: hypothesis needs no disk for this."""

    def __init__(self) -> None:
        self.path = _Path()


class _Path:
    data = b""

    def __truediv__(self, _: str) -> _Path:
        return self

    def read_bytes(self) -> bytes:
        return self.data


def test_a_corrupt_entry_is_replaced(tmp_path: Path) -> None:
    """Else its plugin would be asked at every boot for ever."""
    cache = ImplCache(tmp_path, "demo")
    cache.put(DIGEST, FACTS)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(b"{")
    cache.put(DIGEST, FACTS)
    assert cache.get(DIGEST) == FACTS
    cache.put(DIGEST, FACTS[:1])
    assert cache.get(DIGEST) == FACTS[:1]
    assert list(tmp_path.iterdir()) == [entry]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """It only costs the next boot a start."""
    (tmp_path / "file").write_text("")
    cache = ImplCache(tmp_path / "file" / "below", "demo")
    cache.put(DIGEST, FACTS)
    assert cache.get(DIGEST) is None


def test_an_entry_reads_like_a_file_of_the_repository(tmp_path: Path) -> None:
    """The same facts give the same bytes."""
    for name in ("a", "b"):
        ImplCache(tmp_path / name, "demo").put(DIGEST, FACTS)
    (first,), (second,) = (tuple((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
