"""A kernel with hostile plugins: what an attempt is made in, at one level, and how it ended.

Everything is the product's: kernel, zygote, worker, manifest and grants. There is a plugin for each
plan, and a worker for each attempt: it is killed afterwards, as it may be in any state.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from tests.escapes.attempts import PRELUDE, Attempt

__all__ = ["FRESH", "PLANS", "Arena", "Verdict"]

HOSTILE = Path(__file__).with_name("hostile.py")
#: A fence against hangs, far above what any attempt needs.
_PATIENCE_S = 60.0
#: The deadline of attempts that are meant to miss it.
_SOON_S = 1.0
_NEVER = 10**6
#: Plan -> the part of the manifest that makes it. A port is filled in.
PLANS = {
    "standard": "[limits]\nfile_size_mb = 16\n",
    "tight": (
        "[limits]\nfile_size_mb = 16\nmemory_mb = 192\nopen_files = 64\ncpu_seconds_per_call = 1\n"
    ),
    "large": "[limits]\nmemory_mb = 1024\n",
    "listen": '[limits]\nfile_size_mb = 16\n[permissions]\nnetwork = ["listen:{bind_ok}"]\n',
    "connect": '[limits]\nfile_size_mb = 16\n[permissions]\nnetwork = ["tcp:{tcp_ok}"]\n',
}
SIBLING = "sibling"
#: Instead of a level: `confined`, where each call has a process of its own.
FRESH = "fresh"

hookspec = nx.HookspecMarker("escapes")


class Hooks:
    """What the application offers to its enemies."""

    @hookspec
    def attempt(self, code: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Run *code*."""

    @hookspec
    def echo(self, value: int) -> int:
        """Return *value*."""


@attrs.frozen
class Verdict:
    """How an attempt ended."""

    #: `value`, `error`, `killed`, `exit`, or the error code of the call.
    kind: str
    #: `repr` of what it left in `out`.
    value: str = ""
    #: Names of the exception's class and of its bases, and its errno's name or number.
    exceptions: tuple[str, ...] = ()
    errno: str = ""
    message: str = ""
    signal: str = ""
    status: int = 0
    #: The code of the call's error, or `ok`.
    code: str = "ok"
    #: Whether the plugin's next call worked.
    answers: bool = True


class Arena:
    """A kernel at one level, with a hostile plugin for each plan and a victim beside them."""

    def __init__(self, folder: Path, level: Any, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        self._fresh = level == FRESH
        self._level = "confined" if self._fresh else level
        self._facts = facts
        run = nx.Run.create(folder / "data", seed=7)
        for name, part in {**PLANS, SIBLING: ""}.items():
            self._write_plugin(folder / "plugins" / name, name, part.format(**facts))
        self.kernel = self._build(run, folder / "plugins")
        self.kernel.__enter__()
        for name in PLANS:
            if self._fresh:
                self._ask(name, "echo", value=1)
            else:
                _end(self.kernel, name)  # Started to learn what they implement.
        self._attempts = 0
        self._other = run.dir.resolve() / "plugins" / SIBLING
        self._ask(SIBLING, "echo", value=1)
        _lay_out_belongings(self._other)

    def _build(self, run: nx.Run, plugins: Path, **hosting: Any) -> nx.Kernel:
        connect, listen = f"tcp:{self._facts['tcp_ok']}", f"listen:{self._facts['bind_ok']}"
        return nx.Kernel(
            "escapes",
            specs=[Hooks],
            run=run,
            plugins=nx.discover(plugins),
            middleware=[],
            sandbox=nx.Sandbox(require=self._level),
            grants={
                "connect": nx.Grant(network=(connect,)),
                "listen": nx.Grant(network=(listen,)),
            },
            hosting=nx.Hosting(
                restart_intensity=_NEVER,
                backoff_s=0,
                environment=dict(self._facts["interpreter"]),
                **hosting,
            ),
        )

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that a plugin may write to."""
        plugins = self.kernel.run.dir / "plugins"
        return tuple(plugins / name for name in PLANS)

    @property
    def kept(self) -> tuple[Path, ...]:
        """What no attempt may change: the code that runs, and what belongs to another plugin."""
        return (self.kernel.run.data_dir / "cache", self._other)

    @property
    def sibling(self) -> int:
        """The pid of a worker that is never the one that tries."""
        pid = self.kernel.plugins[SIBLING].pid
        assert pid is not None
        return pid

    def run(self, attempt: Attempt) -> Verdict:
        """Make *attempt* and return how it ended."""
        if attempt.group == "import":
            return self._import(attempt)
        facts = {**self._facts, "other": str(self._other), "sibling": self.sibling}
        self._attempts += 1
        outcome = self._ask(
            attempt.plan,
            "attempt",
            timeout=_SOON_S if "plugin.timeout" in attempt.expect.code else _PATIENCE_S,
            code=PRELUDE + attempt.code,
            facts=facts,
        )
        found = _verdict(outcome)
        if attempt.group == "protocol":
            found = self._afterwards(attempt, found)
        if self._fresh:
            # Its process has ended with it, and the template must not have noticed.
            answer = self._ask(attempt.plan, "echo", value=self._attempts)
            return attrs.evolve(found, answers=found.answers and answer.ok)
        _end(self.kernel, attempt.plan)
        return found

    def _afterwards(self, attempt: Attempt, found: Verdict) -> Verdict:
        """What was said too often ends the worker before its next call; that call works."""
        starts = self.kernel.plugins[attempt.plan].starts
        if found.code == "ok" and "protocol.violation" in attempt.expect.code:
            late = self._ask(attempt.plan, "echo", value=1)
            # Either it was there when the call began, or it came in the middle of it.
            if late.error or self.kernel.plugins[attempt.plan].starts > starts:
                found = attrs.evolve(found, code="protocol.violation")
        if not self._fresh:
            _end(self.kernel, attempt.plan)
        answer = self._ask(attempt.plan, "echo", value=self._attempts)
        return attrs.evolve(found, answers=answer.ok and answer.value == self._attempts)

    def _import(self, attempt: Attempt) -> Verdict:
        """Make *attempt* while its plugin is imported, in a kernel of its own that starts it."""
        folder = self._folder / "imports" / attempt.name
        plugin = folder / "plugins"
        self._write_plugin(plugin, "imports", PLANS["standard"], PRELUDE + attempt.code)
        run = nx.Run.create(folder / "data", seed=7)
        late = "plugin.timeout" in attempt.expect.code
        with self._build(
            run, folder / "plugins", start_timeout_s=_SOON_S if late else _PATIENCE_S
        ) as kernel:
            refused = kernel.plugins["imports"].error
            if isinstance(refused, nx.NxError):
                return _loss(refused.code, refused.message, refused.details)
            calling = kernel.options(timeout=_PATIENCE_S)
            (outcome,) = calling.call("attempt", code="", facts={})
        return _verdict(outcome)

    def _ask(
        self, plugin: str, hook: str, *, timeout: float = _PATIENCE_S, **arguments: Any
    ) -> nx.Outcome:
        calling = self.kernel.options(timeout=timeout, only={plugin})
        (outcome,) = calling.call(hook, **arguments)
        return outcome

    def _write_plugin(self, folder: Path, name: str, part: str, at_import: str = "") -> None:
        folder.mkdir(parents=True)
        state = 'state = "fresh"\n' if self._fresh and name != SIBLING else ""
        (folder / "plugin.toml").write_text(
            f'schema_version = 1\nid = "{name}"\nversion = "1.0.0"\n'
            f'entrypoint = "plugin:Plugin"\nhooks = ["attempt", "echo"]\n{state}{part}'
        )
        code = HOSTILE.read_text().replace("# AT IMPORT\n", at_import)
        (folder / "plugin.py").write_text(code)
        (folder / "data.txt").write_text("plugin data")

    def close(self) -> None:
        """End every process."""
        self.kernel.__exit__(None, None, None)


def _lay_out_belongings(other: Path) -> None:
    """Put something worth stealing into another plugin's folder, and a secret beside it."""
    (other / "token").write_text("token of another plugin")
    (other / "nx_other_module.py").write_text("")
    (other.parent / "secret.txt").write_text("beside the plugins' folders\n")


def _end(kernel: nx.Kernel, plugin: str) -> None:
    """Kill the plugin's worker, and wait until nothing of it is left."""
    pid = kernel.plugins[plugin].pid
    if pid is None:
        return
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    until = time.monotonic() + _PATIENCE_S
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < until, "a killed worker is still there"
        time.sleep(0.0005)


def _verdict(outcome: nx.Outcome) -> Verdict:
    error = outcome.error
    if error is None:
        return _report(outcome.value)
    return _loss(error.code, error.message, error.details)


def _loss(code: str, message: str, details: Mapping[str, Any]) -> Verdict:
    if details.get("signal"):
        name = signal.Signals(details["signal"]).name
        return Verdict("killed", signal=name, code=code, message=message)
    if details.get("exit_status") is not None:
        return Verdict("exit", status=details["exit_status"], code=code, message=message)
    exception = str(details.get("exception", "")).rpartition(".")[2]
    return Verdict("refused", exceptions=(exception,), code=code, message=message)


def _report(report: Any) -> Verdict:
    if not isinstance(report, dict) or "kind" not in report:
        return Verdict("value", value=repr(report))
    if report["kind"] == "value":
        return Verdict("value", value=report["value"])
    number = report["errno"]
    return Verdict(
        "error",
        exceptions=tuple(report["exceptions"]),
        errno=errno.errorcode.get(number, str(number)),
        message=report["message"],
    )
