"""SQLite databases as grants: what works with the file alone, and what the errors say to do."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from tests.support.zoo import Zoo, copies, patient

COUNT = "select count(*) from t"
INSERT = "insert into t values (1)"


@attrs.define
class Shelf:
    """A database of the application's, in a folder with another file."""

    place: Path
    level: Any
    stack: ExitStack
    kernels: int = 0

    @property
    def path(self) -> Path:
        return self.place / "app" / "x.db"

    def opened(self) -> sqlite3.Connection:
        """Open it as an application does, until the end of the test."""
        return self.stack.enter_context(closing(self.connected()))

    def connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None)

    def made(self, mode: str, *, held: bool = True) -> sqlite3.Connection | None:
        """Make it in *mode*, with one row; return the connection that stays open."""
        self.path.parent.mkdir()
        (self.path.parent / "other").write_text("of the application")
        application = self.connected()
        for statement in (f"pragma journal_mode = {mode}", "create table t (x)", INSERT):
            application.execute(statement).fetchall()
        if held:
            return self.stack.enter_context(closing(application))
        application.close()
        return None

    def granted(self, **permissions: list[str]) -> Zoo:
        """Start a kernel with the plugin ``stores`` and these permissions."""
        self.kernels += 1
        place = self.place / f"kernel-{self.kernels}"
        (copy,) = copies(place / "plugins", "stores", ["stores.it"])
        lines = [f"{kind} = {[str(p) for p in paths]!r}" for kind, paths in permissions.items()]
        manifest = copy / "plugin.toml"
        manifest.write_text("\n".join([manifest.read_text(), "[permissions]", *lines]))
        kernel = patient(
            place / "data",
            folders=[copy],
            grants={"stores.it": nx.Grant(**{k: tuple(v) for k, v in permissions.items()})},
            sandbox=nx.Sandbox(require=self.level),
        )
        return Zoo(self.stack.enter_context(kernel))

    def run(self, zoo: Zoo, *statements: str, uri: str = "") -> Any:
        """Have the plugin open the database and run *statements*; return the last one's rows."""
        outcome = self.ask(zoo, *statements, uri=uri)
        assert outcome.ok, outcome.error
        return outcome.value

    def ask(self, zoo: Zoo, *statements: str, uri: str = "") -> nx.Outcome:
        place = f"file:{self.path}?{uri}" if uri else str(self.path)
        return zoo.act("stores.it", [place, *statements])

    def told(self, zoo: Zoo, *statements: str) -> tuple[str, dict[str, list[str]] | None]:
        """Have it fail; return the message, and the permissions that it says to ask for."""
        outcome = self.ask(zoo, *statements)
        assert outcome.error is not None, outcome
        (denied,) = [each for each in outcome.error.details["denied"] if each["raised"]]
        line = denied["manifest"]
        assert "the files that SQLite keeps beside" in outcome.error.message
        assert line is None or line in outcome.error.message
        return outcome.error.message, None if line is None else tomllib.loads(line)


@pytest.fixture(params=["confined", "isolated"])
def shelf(confinement: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Yield a place for a database, at either level."""
    found = probe.namespaces_available()
    if request.param == "isolated" and not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    with ExitStack() as stack:
        yield Shelf(tmp_path, request.param, stack)


def at(level: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("shelf", [level], indirect=True)


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist"])
def test_reading_with_a_rollback_journal(shelf: Shelf, mode: str) -> None:
    """The file alone is enough; what the application commits is seen by the next call."""
    application = shelf.made(mode)
    assert application is not None
    zoo = shelf.granted(read=[str(shelf.path)])
    assert shelf.run(zoo, COUNT) == [[1]]
    application.execute(INSERT)
    assert shelf.run(zoo, COUNT) == [[2]]


@at("confined")
def test_reading_in_wal_mode(shelf: Shelf) -> None:
    """While the application has it open, its two neighbours come with the grant."""
    application = shelf.made("wal")
    assert application is not None
    zoo = shelf.granted(read=[str(shelf.path)])
    assert shelf.run(zoo, COUNT) == [[1]]
    application.execute(INSERT)
    assert shelf.run(zoo, COUNT, uri="mode=ro") == [[2]]
    refused = shelf.ask(zoo, INSERT)
    assert refused.error is not None
    assert "readonly database" in refused.error.message
    assert application.execute(COUNT).fetchall() == [(2,)]


@at("confined")
def test_writing_in_wal_mode(shelf: Shelf) -> None:
    """The plugin may come and go: the application sees its rows, and goes on itself."""
    application = shelf.made("wal")
    assert application is not None
    zoo = shelf.granted(write=[str(shelf.path)])
    for rows in (2, 4):
        assert shelf.run(zoo, INSERT, COUNT) == [[rows]]
        application.execute(INSERT)
    assert application.execute(COUNT).fetchall() == [(5,)]
    assert application.execute("pragma integrity_check").fetchall() == [("ok",)]


@at("confined")
@pytest.mark.parametrize("mode", ["truncate", "persist"])
def test_writing_with_a_journal_that_stays(shelf: Shelf, mode: str) -> None:
    """A journal that is there and is not removed can be written."""
    application = shelf.made(mode)
    assert application is not None
    zoo = shelf.granted(write=[str(shelf.path)])
    assert shelf.run(zoo, f"pragma journal_mode = {mode}", INSERT, COUNT) == [[2]]
    assert application.execute(COUNT).fetchall() == [(2,)]


@pytest.mark.parametrize("mode", ["delete", "truncate", "wal"])
def test_writing_otherwise_needs_the_folder(shelf: Shelf, mode: str) -> None:
    """SQLite has to make or remove files: the error says so, and what it says to ask for works."""
    shelf.made(mode, held=False)
    zoo = shelf.granted(write=[str(shelf.path)])
    _, ask = shelf.told(zoo, INSERT)
    assert ask == {"write": [str(shelf.path), str(shelf.path.parent)]}
    assert shelf.run(shelf.granted(**ask), INSERT, COUNT) == [[2]]
    assert shelf.opened().execute(COUNT).fetchall() == [(2,)]


def test_wal_mode_that_nobody_has_open(shelf: Shelf) -> None:
    """No grant of reading is enough; the error says what can be done, and that works."""
    shelf.made("wal", held=False)
    zoo = shelf.granted(read=[str(shelf.path)])
    message, ask = shelf.told(zoo, COUNT)
    assert ask is None
    assert "?mode=ro&immutable=1 if nobody writes" in message
    assert shelf.run(zoo, COUNT, uri="mode=ro&immutable=1") == [[1]]
    folder = shelf.granted(read=[str(shelf.path.parent)])
    assert shelf.told(folder, COUNT)[1] is None
    application = shelf.opened()
    application.execute(INSERT)
    assert shelf.run(folder, COUNT) == [[2]]


@at("confined")
def test_neighbours_that_were_made_anew(shelf: Shelf) -> None:
    """They are other files: SQLite fails, rather than going on with the old ones."""
    shelf.made("wal", held=False)
    application = shelf.connected()
    application.execute(COUNT).fetchall()
    zoo = shelf.granted(write=[str(shelf.path)])
    assert shelf.run(zoo, COUNT) == [[1]]
    application.close()
    again = shelf.opened()
    again.execute(INSERT)
    _, ask = shelf.told(zoo, INSERT)
    assert ask == {"write": [str(shelf.path), str(shelf.path.parent)]}
    assert again.execute(COUNT).fetchall() == [(2,)]


@at("isolated")
@pytest.mark.parametrize("kind", ["read", "write"])
def test_wal_mode_in_a_root_of_its_own_needs_the_folder(shelf: Shelf, kind: str) -> None:
    """A root that shows single files shows them for ever: SQLite fails rather than use old ones."""
    application = shelf.made("wal")
    assert application is not None
    zoo = shelf.granted(**{kind: [str(shelf.path)]})
    _, ask = shelf.told(zoo, COUNT)
    assert ask == {kind: [str(shelf.path), str(shelf.path.parent)]}
    folder = shelf.granted(**ask)
    application.execute(INSERT)
    assert shelf.run(folder, COUNT) == [[2]]
