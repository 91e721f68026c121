"""Laws of the lockfile, over arbitrary plugins and arbitrary names of files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from nxkernel.errors import LockMismatch
from nxkernel.plugins.codestore import Admitted
from nxkernel.plugins.intake import FileDigest, tree_digest
from nxkernel.plugins.lockcheck import check
from nxkernel.plugins.lockdiff import diff
from nxkernel.plugins.lockfile import (
    CONTRACT,
    Lock,
    LockEntry,
    _as_written,
    _lock,
    lock_entry,
    read_lock,
    render,
    write_lock,
)
from nxkernel.plugins.locktext import document_in
from nxkernel.plugins.manifest import HookEntry, Manifest
from nxkernel.schemas import own
from nxkernel.settings import Grant
from nxkernel.types import Digest, HookName, ImplFacts, PluginId

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
DIGESTS = HEX.map(lambda digits: Digest("sha256:" + digits))
IDS = st.from_regex(r"[a-z][a-z0-9]{0,3}([._-][a-z0-9]{1,3}){0,2}", fullmatch=True).map(PluginId)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
#: Anything that a file may be called: quotes, dots, braces, spaces, letters of any script.
PATHS = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=12
).filter(str.isprintable)
TEXTS = st.lists(PATHS, max_size=3, unique=True).map(lambda texts: tuple(sorted(texts)))
GRANTS = st.builds(Grant, read=TEXTS, write=TEXTS, network=TEXTS, calls=TEXTS)
ARGS = st.lists(NAMES, max_size=3, unique=True).map(tuple)
IMPLS = st.builds(
    ImplFacts,
    impl=NAMES,
    hook=NAMES.map(HookName),
    args=ARGS,
    kwargs=ARGS,
    wrapper=st.booleans(),
    trylast=st.booleans(),
)
TREES = st.dictionaries(PATHS, HEX, min_size=1, max_size=5)
ENTRIES = st.builds(
    LockEntry,
    version=NAMES,
    manifest=DIGESTS,
    tree=DIGESTS,
    files=TREES,
    grant=GRANTS,
    impls=st.none() | st.lists(IMPLS, max_size=3).map(tuple),
    environments=st.dictionaries(NAMES, DIGESTS, max_size=2),
    dependencies=st.sampled_from([None, "application", "environment"]),
    contracts=st.dictionaries(st.builds("{}.output".format, NAMES), DIGESTS, max_size=2),
    sandbox=st.sampled_from([None, "process", "confined", "isolated"]),
    hosting=st.dictionaries(
        st.sampled_from(["launcher", "memory_mb", "timeout_s"]),
        NAMES | st.integers(0, 2**40) | st.floats(0, 1e9) | st.booleans(),
        max_size=2,
    ),
)
LOCKS = st.builds(Lock, plugins=st.dictionaries(IDS, ENTRIES, max_size=3))


@given(LOCKS)
def test_every_lock_survives_the_file(lock: Lock) -> None:
    """Whatever files and permissions are called, they come back as they were."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "nxkernel.lock"
        write_lock(path, lock)
        assert read_lock(path) == lock
        assert path.read_text(encoding="utf-8") == render(lock)


@given(LOCKS)
def test_the_bytes_do_not_depend_on_any_order(lock: Lock) -> None:
    """Plugins and files in another order are the same lockfile."""
    turned = Lock(
        plugins={
            plugin: attrs.evolve(entry, files=dict(reversed(entry.files.items())))
            for plugin, entry in reversed(lock.plugins.items())
        }
    )
    assert render(turned) == render(lock)


@settings(max_examples=40)
@given(LOCKS)
def test_the_short_way_reads_what_the_parser_reads(lock: Lock) -> None:
    """Each text that was written is read by its lines, as TOML is read and no other way."""
    text = render(lock)
    if lock.plugins:
        assert document_in(text) == tomllib.loads(text)


EXTRA = ["\n", '"""\n', "# [plugins.a]\n", "x = 1\n", "]\n"]
REPLACED = st.sampled_from([("=", " ="), ("sha", "SHA"), ("", "")])


@settings(max_examples=40)
@given(LOCKS.filter(lambda lock: bool(lock.plugins)), st.data(), REPLACED)
def test_a_text_that_was_changed_is_read_as_toml_or_refused(
    lock: Lock, data: st.DataObject, replaced: tuple[str, str]
) -> None:
    """Whatever is done to a line, the short way never reads something that the parser does not."""
    lines = render(lock).splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.sampled_from([*lines, *EXTRA]))
    lines[at : at + data.draw(st.integers(0, 1))] = [other]
    text = "".join(lines).replace(*replaced)
    quick = _as_written(text.encode())
    try:
        document = tomllib.loads(text)
    except ValueError:
        assert quick is None
        return
    assert quick is None or (quick == _lock(document) and not own(CONTRACT).validate(document))


@given(LOCKS, LOCKS)
def test_a_diff_is_empty_exactly_for_what_a_reviewer_sees_as_equal(old: Lock, new: Lock) -> None:
    """Nothing changes between a lock and itself, and forth and back are each other's mirror."""
    assert not diff(old, old)
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    forth = {(c.plugin, c.what, c.action) for c in diff(old, new).changes}
    back = {(c.plugin, c.what, mirror[c.action]) for c in diff(new, old).changes}
    assert forth == back


def admitted(tree: dict[str, str]) -> Admitted:
    """Return a copy with the files of *tree*."""
    files = tuple(FileDigest(path, 1, tree[path]) for path in sorted(tree))
    return Admitted(tree_digest=tree_digest(files), files=files, path=Path("/copy"))


def manifest(read: dict[str, str]) -> Manifest:
    """Return a manifest that was read from the files *read*."""
    return Manifest(
        id=PluginId("p"),
        version="1",
        entrypoint="p",
        hooks=(HookEntry(hook=HookName("h")),),
        digest=Digest("sha256:" + "0" * 64),
        path=Path("/p/plugin.toml"),
        folder=Path("/p"),
        read=read,
    )


@given(TREES, TREES)
def test_exactly_the_locked_files_are_accepted(
    locked: dict[str, str], here: dict[str, str]
) -> None:
    """Any difference is refused, and every file that differs is named in the details."""
    entry = lock_entry(manifest({}), admitted(locked), Grant())
    lock = Lock(plugins={PluginId("p"): entry})
    differing = {p for p in locked.keys() | here.keys() if locked.get(p) != here.get(p)}
    changes: tuple[str, ...] = ()
    try:
        assert check(lock, admitted(here), manifest(dict(here))) == entry
    except LockMismatch as error:
        changes = tuple(error.details["changes"])
    assert len(changes) == len(differing)
    assert all(any(change.startswith(path) for change in changes) for path in differing)
