"""The lockfile: the same bytes for the same plugins, and a refusal that names the file."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from nxkernel.errors import LockMismatch
from nxkernel.plugins import lockfile
from nxkernel.plugins.codestore import Admitted, CodeStore
from nxkernel.plugins.lockcheck import check, check_hosting, hosting_values
from nxkernel.plugins.lockfile import Lock, lock_entry, read_lock, render, write_lock
from nxkernel.plugins.manifest import Manifest, load_manifest
from nxkernel.settings import Grant, Hosting, Limits
from nxkernel.types import ImplFacts, PluginId
from tests.unit.plugins.folders import BASIC, plugin

IMPLS = (
    ImplFacts(impl="reply", hook="answer", args=("q",), kwargs=("k",), tryfirst=True),
    ImplFacts(impl="answer", hook="answer", wrapper=True, optionalhook=True),
)


@attrs.define
class Shop:
    """A plugin, a store, and the lock that accepts the plugin as it was."""

    folder: Path
    store: CodeStore
    lock: Lock = attrs.field(factory=Lock)

    def seen(self) -> tuple[Admitted, Manifest]:
        """Return the plugin as it is now."""
        manifest = load_manifest(self.folder)
        return self.store.admit(self.folder), manifest

    def accept(self, grant: Grant | None = None) -> None:
        """Lock the plugin as it is now."""
        admitted, manifest = self.seen()
        entry = lock_entry(manifest, admitted, grant or Grant(), IMPLS)
        self.lock = Lock(plugins={manifest.id: entry})

    def refusal(self, **options: str) -> str:
        """Return the message of the refusal of the plugin as it is now."""
        with pytest.raises(LockMismatch) as caught:
            check(self.lock, *self.seen(), **options)
        assert (caught.value.code, caught.value.plugin) == ("lock.mismatch", "ocr.rapid")
        return caught.value.message


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Yield a locked plugin."""
    shop = Shop(plugin(tmp_path), CodeStore(tmp_path / "store"))
    (shop.folder / "pack").mkdir()
    (shop.folder / "pack" / "b.py").write_text("b")
    shop.accept()
    yield shop
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


def test_what_is_written_is_what_is_read(shop: Shop, tmp_path: Path) -> None:
    """Digests, grants and hookimpls come back as they went, sorted."""
    shop.accept(Grant(read=("{media_dir}", "/a b"), network=("tcp:443", "tcp:80"), calls=("x.y",)))
    path = tmp_path / "nxkernel.lock"
    write_lock(path, shop.lock)
    entry = read_lock(path).plugins[PluginId("ocr.rapid")]
    assert entry == shop.lock.plugins[PluginId("ocr.rapid")]
    assert entry.grant.read == ("/a b", "{media_dir}")
    assert entry.impls == (IMPLS[1], IMPLS[0])


def test_an_empty_lock_is_a_lock(tmp_path: Path) -> None:
    """It accepts nothing, and reads back as that."""
    write_lock(tmp_path / "nxkernel.lock", Lock())
    assert read_lock(tmp_path / "nxkernel.lock") == Lock()


def test_the_bytes_do_not_depend_on_the_moment_or_the_order(shop: Shop) -> None:
    """No date, no machine, no order of discovery."""
    admitted, manifest = shop.seen()
    turned = attrs.evolve(admitted, files=admitted.files[::-1])
    entry = lock_entry(manifest, turned, Grant(read=("b", "a")), IMPLS[::-1])
    other = lock_entry(manifest, admitted, Grant(read=("a", "b", "a")), IMPLS)
    ids = [PluginId("b.c"), PluginId("a")]
    text = render(Lock(plugins=dict.fromkeys(ids, entry)))
    assert text == render(Lock(plugins=dict.fromkeys(ids[::-1], other)))
    assert not re.search(r"\d{4}-\d{2}-\d{2}|/tmp|/home", text)


def test_an_unchanged_plugin_is_accepted(shop: Shop) -> None:
    """And the check returns what the lock records of it."""
    assert check(shop.lock, *shop.seen()) is shop.lock.plugins[PluginId("ocr.rapid")]


def append(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


CHANGES: dict[str, Callable[[Path], object]] = {
    "plugin.py was changed": lambda folder: append(folder / "plugin.py"),
    "plugin.toml was changed": lambda folder: append(folder / "plugin.toml"),
    "pack/b.py was changed": lambda folder: append(folder / "pack" / "b.py"),
    "pack/new.py was added": lambda folder: (folder / "pack" / "new.py").touch(),
    "pack/b.py is missing": lambda folder: (folder / "pack" / "b.py").unlink(),
}


@pytest.mark.parametrize("reason", CHANGES)
def test_a_changed_file_is_named_with_the_command_that_accepts_it(shop: Shop, reason: str) -> None:
    """One byte, one new file or one missing file is enough; the command stands ready to copy."""
    CHANGES[reason](shop.folder)
    assert shop.refusal() == (
        f"ocr.rapid: {reason}. Review it; `nxkernel plugins lock DIR --yes` accepts it."
    )
    assert "`nxkernel plugins lock plugins --yes`" in shop.refusal(place="plugins")
    shop.accept()
    check(shop.lock, *shop.seen())


def test_many_changes_are_counted(shop: Shop) -> None:
    """The message names five and says how many more; the details have all."""
    for number in range(7):
        (shop.folder / f"n{number}.py").touch()
    with pytest.raises(LockMismatch, match=r"n4\.py was added; and 2 more\.") as caught:
        check(shop.lock, *shop.seen())
    assert len(caught.value.details["changes"]) == 7


def test_a_plugin_that_is_not_locked_does_not_run(shop: Shop) -> None:
    """A new plugin in the folder is not trusted because others are."""
    shop.lock = Lock()
    assert "is not in the lockfile" in shop.refusal()


def test_a_manifest_read_before_it_changed_is_refused(shop: Shop) -> None:
    """The permissions that were judged must be those of the bytes that were copied."""
    manifest = load_manifest(shop.folder)
    append(shop.folder / "plugin.toml")
    shop.accept()
    with pytest.raises(LockMismatch, match=r"plugin\.toml was changed while it was being checked"):
        check(shop.lock, shop.store.admit(shop.folder), manifest)


@pytest.mark.parametrize("field", ["version", "manifest", "tree"])
def test_an_entry_that_contradicts_itself_is_refused(shop: Shop, field: str) -> None:
    """A lockfile edited in one place only does not pass."""
    entry = shop.lock.plugins[PluginId("ocr.rapid")]
    edited = attrs.evolve(entry, **{field: "sha256:" + "0" * 64})
    shop.lock = Lock(plugins={PluginId("ocr.rapid"): edited})
    assert "contradict each other" in shop.refusal()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", 'missing key "plugins"'),
        (b"schema_version = 2\n[plugins]", "schema_version: expected 1"),
        (b"[plugins", "is not valid TOML"),
        (b"\xff", "is not UTF-8"),
        (b"schema_version = 1\n[plugins.A]", "plugins.A: as a key: expected text"),
        (b"schema_version = 1\n[plugins.a]\nfile = 1", "plugins.a.file: unknown key; did you"),
        (b"schema_version = 1\nplugins = []", "plugins: expected object, got array"),
    ],
)
def test_a_malformed_lockfile_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    """With its own code, the place, and the command that writes it."""
    path = tmp_path / "nxkernel.lock"
    path.write_bytes(text)
    with pytest.raises(LockMismatch) as caught:
        read_lock(path)
    assert caught.value.code == "lock.invalid"
    assert caught.value.message.startswith("nxkernel.lock: ")
    assert reason in caught.value.message
    assert "`nxkernel plugins lock DIR`" in caught.value.message


def test_a_missing_or_linked_lockfile_is_refused(tmp_path: Path) -> None:
    """No lockfile is not an empty one, and a link is not followed."""
    with pytest.raises(LockMismatch, match="does not exist"):
        read_lock(tmp_path / "nxkernel.lock")
    write_lock(tmp_path / "real.lock", Lock())
    (tmp_path / "nxkernel.lock").symlink_to("real.lock")
    with pytest.raises(LockMismatch, match="is a symbolic link"):
        read_lock(tmp_path / "nxkernel.lock")


def test_a_lockfile_is_replaced_in_one_step(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails, the old file is whole and nothing temporary stays."""
    path = tmp_path / "locks" / "nxkernel.lock"
    path.parent.mkdir()
    write_lock(path, Lock())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lockfile.os, "fsync", full)
    with pytest.raises(LockMismatch, match="No space left") as caught:
        write_lock(path, shop.lock)
    assert caught.value.code == "lock.invalid"
    monkeypatch.undo()
    assert read_lock(path) == Lock()
    assert [entry.name for entry in path.parent.iterdir()] == ["nxkernel.lock"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """Writing into nowhere is an error with its reason."""
    with pytest.raises(LockMismatch, match="check its folder"):
        write_lock(tmp_path / "none" / "nxkernel.lock", Lock())


SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


def contracted(shop: Shop, limit: int) -> None:
    """Write a manifest with an output contract of its own."""
    schema = {**SCHEMA, "maxProperties": limit}
    (shop.folder / "plugin.toml").unlink(missing_ok=True)
    document = {
        **BASIC,
        "contracts": {"read_tokens": {"output": schema}},
        "settings": {"schema": {"type": "object"}},
    }
    (shop.folder / "plugin.json").write_text(json.dumps(document))


def test_a_contract_that_was_changed_is_named(shop: Shop) -> None:
    """Beside the file that it stands in: a reviewer sees what a long manifest says differently."""
    contracted(shop, 3)
    shop.accept()
    entry = shop.lock.plugins[PluginId("ocr.rapid")]
    assert sorted(entry.contracts) == ["read_tokens.output", "settings"]
    check(shop.lock, *shop.seen())
    contracted(shop, 4)
    assert shop.refusal().startswith(
        "ocr.rapid: plugin.json was changed; contract read_tokens.output was changed. Review it;"
    )


HELD: dict[str, tuple[str, dict[str, object], str]] = {
    "a weaker level": (
        "process",
        {},
        "it would run at level process, and the lockfile says confined",
    ),
    "no wall at all": ("none", {}, "it would run at level none, and the lockfile says confined"),
    "more memory": (
        "confined",
        {"memory_mb": 1024},
        "hosting option memory_mb is 1024, and the lockfile says 512",
    ),
    "an option that is gone": (
        "confined",
        {"timeout_s": None},
        "hosting option timeout_s is None, and the lockfile says 10.0",
    ),
}


@pytest.mark.parametrize("kind", HELD)
def test_level_and_hosting_are_held_where_they_are_recorded(shop: Shop, kind: str) -> None:
    """With the exact words; a stronger level is no difference."""
    level, other, words = HELD[kind]
    recorded = {"memory_mb": 512, "timeout_s": 10.0}
    entry = attrs.evolve(
        shop.lock.plugins[PluginId("ocr.rapid")], sandbox="confined", hosting=recorded
    )
    for fine in ("confined", "isolated"):
        check_hosting(entry, PluginId("ocr.rapid"), fine, recorded)  # type: ignore[arg-type]
    with pytest.raises(LockMismatch) as caught:
        check_hosting(
            entry,
            PluginId("ocr.rapid"),
            level,
            {**recorded, **other},
            place="plugins",  # type: ignore[arg-type]
        )
    assert caught.value.message == (
        f"ocr.rapid: {words}. Review it; `nxkernel plugins lock plugins --yes` accepts it."
    )


def test_what_was_not_recorded_is_not_held(shop: Shop) -> None:
    """A lockfile that no application was named for says nothing of its level or its options."""
    entry = shop.lock.plugins[PluginId("ocr.rapid")]
    check_hosting(entry, PluginId("ocr.rapid"), "process", {"memory_mb": 1})


def test_hosting_values_are_plain_and_tell_no_secret() -> None:
    """Of the environment the names, of the rest what is set; sorted."""
    hosting = Hosting(environment={"TOKEN": "secret", "A": "b"}, limits=Limits(memory_mb=7))
    values = hosting_values(hosting, hosting.limits)
    assert values["environment"] == "A TOKEN"
    assert values["memory_mb"] == 7
    assert "secret" not in str(values)
    assert "timeout_s" not in values
    assert list(values) == sorted(values)
