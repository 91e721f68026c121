"""The zoo: real plugins with one fault each, and a kernel over some of them.

The animals live in ``tests/assets/plugins``, a plugin folder each. Most implement two hooks:
``act`` does what the animal is there for, ``echo`` returns its argument and so shows that the
plugin's next call works.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.records import CallRecord, EventRecord

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "plugins"
#: A fence against hangs, far above what any machine needs; no test waits for it to pass.
PATIENCE_S = 60.0
#: A deadline that is meant to be missed.
SOON_S = 0.3

#: Options of every kernel that is built, unless it is given others.
DEFAULTS: dict[str, Any] = {}

hookspec = nx.HookspecMarker("zoo")


class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


@attrs.frozen
class Stop:
    name: str
    at: datetime.datetime


@dataclasses.dataclass
class Trip:
    id: uuid.UUID
    stops: tuple[Stop, ...]
    moods: set[Mood]
    price: decimal.Decimal
    diary: Path
    photo: bytes


@attrs.frozen
class Picture:
    name: str
    image: nx.Blob
    thumbs: tuple[nx.Blob, ...]
    raw: nx.Blob | None = None


class Hooks:
    """What the zoo's application offers."""

    @hookspec
    def act(self, value):
        """Do what the plugin is there for."""

    @hookspec
    def echo(self, value):
        """Return *value*."""

    @hookspec
    def ask_a(self, value):
        """Call the first hook of *value* with the rest of it; plugin ``asks.a``."""

    @hookspec
    def ask_b(self, value):
        """The same in plugin ``asks.b``."""

    @hookspec
    def ask_c(self, value):
        """The same in plugin ``asks.c``, whose manifest requests nothing."""

    @hookspec(idempotent=True)
    def again(self, value):
        """Do what *value* says; may be asked once more when it was lost."""

    @hookspec
    def once(self, value):
        """Do what *value* says, and never twice."""

    @hookspec
    def wrapped(self, value):
        """Return something about *value*; wrappers stand around it."""

    @hookspec
    def ordered(self, value):
        """Return one's name."""

    @hookspec(firstresult=True)
    def first(self, value):
        """Return something about *value*, or None."""

    @hookspec(firstresult=True, stream=True)
    def flow(self, value):
        """Return items about *value*, one after another."""

    @hookspec(firstresult=True, stream=True, item_timeout=SOON_S)
    def flow_soon(self, value):
        """Return items about *value*, each of them soon."""

    @hookspec(firstresult=True, stream=True, idempotent=True, on_failure="next")
    def flow_again(self, value):
        """Return items about *value*; may be asked once more before the first of them."""

    @hookspec(historic=True)
    def told(self, value):
        """Keep *value* in mind."""

    @hookspec
    def travel(self, trip: Trip) -> Trip:
        """Return *trip* as it went on."""

    @hookspec
    def develop(self, picture: Picture) -> Picture:
        """Return *picture* as it came out."""


def folder(plugin: str) -> Path:
    """Return the folder of the animal with that id."""
    return FOLDER / plugin.replace(".", "_")


def copies(place: Path, plugin: str, ids: Iterable[str]) -> list[Path]:
    """Copy an animal's folder to *place* once for each of *ids*; return the copies."""
    made = []
    for name in ids:
        copy = place / name
        copy.mkdir(parents=True)
        for file in ("plugin.toml", "plugin.py"):
            text = (folder(plugin) / file).read_text()
            (copy / file).write_text(text.replace(f'id = "{plugin}"', f'id = "{name}"'))
        made.append(copy)
    return made


def meeting(place: Path, ids: Sequence[str]) -> dict[str, Any]:
    """Return what a kernel needs for plugins *ids* that wait for one another in a shared folder."""
    hall = place / "hall"
    hall.mkdir()
    return {
        "folders": copies(place / "guests", "meets", ids),
        "paths": {"media_dir": hall},
        "settings": {name: {"place": str(hall)} for name in ids},
        "grants": {name: nx.Grant(read=("{media_dir}",), write=("{media_dir}",)) for name in ids},
    }


def build(
    data: Path,
    *animals: str,
    seed: int | str = 7,
    clock: Any = None,
    rules: Iterable[nx.Rule] = (),
    breaker: nx.Breaker | None = None,
    folders: Sequence[Path] = (),
    **options: Any,
) -> nx.Kernel:
    """Return a kernel over *animals* and copies in *folders*, not yet entered."""
    options = {**DEFAULTS, **options}
    run = nx.Run.create(data, seed=seed, clock=clock)
    stack = nx.standard_stack(run, rules=list(rules))
    if breaker is not None:
        stack = [breaker if isinstance(each, nx.Breaker) else each for each in stack]
    options.setdefault("middleware", stack)
    plugins = nx.discover(*map(folder, animals), *folders)
    return nx.Kernel("zoo", specs=[Hooks], run=run, plugins=plugins, **options)


def patient(
    data: Path, *animals: str, environment: Mapping[str, str] | None = None, **options: Any
) -> nx.Kernel:
    """Return a kernel that never gives up on a plugin, for many faults of the same one."""
    never = 10**6
    hosting = nx.Hosting(
        restart_intensity=never, timeout_s=PATIENCE_S, backoff_s=0.0, environment=environment or {}
    )
    return build(
        data, *animals, **{"breaker": nx.Breaker(failures=never), "hosting": hosting, **options}
    )


def allow(caller: str, *hooks: str) -> list[nx.Rule]:
    """Return rules that let the plugin *caller* call *hooks*."""
    return [nx.Rule("allow", caller, hook, id=f"{caller}-{hook}") for hook in hooks]


@attrs.frozen
class Zoo:
    """A running kernel, asked one animal at a time."""

    kernel: nx.Kernel

    def act(self, plugin: str, value: Any = None, *, timeout: float = PATIENCE_S) -> nx.Outcome:
        """Have *plugin* do what it is there for."""
        return self.ask(plugin, "act", timeout=timeout, value=value)

    def ask(
        self, plugin: str, hook: str, *, timeout: float = PATIENCE_S, **arguments: Any
    ) -> nx.Outcome:
        """Call one hook of one plugin and return its outcome."""
        result = self.kernel.options(timeout=timeout, only={plugin}).call(hook, **arguments)
        (outcome,) = result
        return outcome

    def answers(self, plugin: str) -> bool:
        """Say whether the plugin's next call works."""
        outcome = self.ask(plugin, "echo", value=["still", "here"])
        return outcome.ok and outcome.value == ["still", "here"]

    def log(self, plugin: str) -> str:
        """Return the end of what the plugin wrote to its output."""
        return self.kernel.plugins[plugin].log


def code_of(outcome: nx.Outcome) -> str:
    """Return the error code of *outcome*, or ``ok``."""
    return outcome.error.code if outcome.error else "ok"


def recorded(run: nx.Run, **filters: Any) -> list[CallRecord]:
    """Return the audit's calls of *run* in the order in which they began."""
    with AuditReader(run.audit_log.path) as reader:
        return reader.calls(run.id, **filters)


def events(run: nx.Run, kind: str) -> list[EventRecord]:
    """Return the audit's events of one kind."""
    with AuditReader(run.audit_log.path) as reader:
        return reader.events(run.id, kind)


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until *condition* holds, for what another process or thread does in its own time."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"still not so after {PATIENCE_S:g} s: {what}"
        time.sleep(0.002)
