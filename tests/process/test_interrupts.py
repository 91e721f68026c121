"""Interrupts at every place of the host's code where the interpreter takes one, around a call."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.audit.reader import AuditReader
from tests.process.conftest import Opens
from tests.support.interrupts import interrupted, is_waiting
from tests.support.zoo import copies, eventually, patient


class Hooks:
    @nx.HookspecMarker("demo")(firstresult=True)
    def first(self, x):
        """The first one answers."""

    @nx.HookspecMarker("demo")(firstresult=True, idempotent=True)
    def again(self, x):
        """The same, and it may be asked once more."""


class Same:
    @nx.HookimplMarker("demo")
    def first(self, x):
        return x

    @nx.HookimplMarker("demo")
    def again(self, x):
        return x


@pytest.mark.parametrize("hook", ["first", "again"])
def test_every_intent_has_an_end_while_the_kernel_lives(tmp_path: Path, hook: str) -> None:
    """Wherever an interrupt strikes a call: what is on record of it says that it is over."""
    run = nx.Run.create(tmp_path, seed=1)
    stack = nx.standard_stack(run)
    kernel = nx.Kernel("demo", specs=[Hooks], run=run, builtins={"same": Same()}, middleware=stack)
    with kernel, AuditReader(run.audit_log.path) as reader:
        call: Any = getattr(kernel.hook, hook)
        call(x=1)
        known = len(reader.calls(run.id))

        struck = []
        for where in interrupted(lambda: call(x=1)):
            new = reader.calls(run.id)[known:]
            known += len(new)
            assert len(new) <= 1, where
            for row in new:
                assert row.status in ("ok", "error"), where
                if row.status == "error":
                    assert (row.error_code, row.fault) == ("call.cancelled", "caller"), where
            struck.append(str(where))
        assert call(x=2) == 2
    for place in ("Audit.", "Spool.begin", "Spool.finish", "Stack.open", "Open.close"):
        assert any(place in each for each in struck), place
    with AuditReader(run.audit_log.path) as reader:
        assert reader.interrupted() == []


def test_a_handler_of_a_signal_may_call_inside_a_call(open_zoo: Opens, tmp_path: Path) -> None:
    """Its call takes the other one further, and that one ends with its answer: not in an hour."""
    ids = ("outer", "inner")
    zoo = open_zoo(patient, folders=copies(tmp_path / "copies", "remembers", ids))
    outer, inner = (zoo.kernel.run.dir / "plugins" / each for each in ids)
    main, made = threading.main_thread().ident, list[nx.Outcome]()
    assert main is not None

    def handler(*_: object) -> None:
        (outer / "go").touch()
        made.append(zoo.ask("inner", "wrapped", value=1, timeout=3600))

    def work() -> None:
        eventually((outer / "waits").exists, "the outer call is under way")
        eventually(lambda: is_waiting(main), "its thread waits")
        signal.pthread_kill(main, signal.SIGUSR1)
        eventually((inner / "waits").exists, "the handler's call is under way")
        eventually(lambda: zoo.kernel.health()["outer"].state != "busy", "its answer was taken")
        (inner / "go").touch()

    before, worker = signal.signal(signal.SIGUSR1, handler), threading.Thread(target=work)
    worker.start()
    try:
        assert zoo.ask("outer", "wrapped", value=1, timeout=3600).ok
    finally:
        worker.join()
        signal.signal(signal.SIGUSR1, before)
    assert [each.ok for each in made] == [True]
