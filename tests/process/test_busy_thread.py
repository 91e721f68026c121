"""A builtin that calls a plugin: the calls that wait for its thread go on meanwhile.

A builtin runs in the thread that makes the call, or in its event loop. What it asks for may be
held by a call that nobody but that very thread takes any further.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import PATIENCE_S, Zoo, allow, eventually, patient


class Asks:
    """A builtin that calls a plugin's ``echo`` when it is asked to ``act``."""

    def __init__(self, plugin: str = "prints") -> None:
        self.plugin = plugin
        self.kernel: Any = None

    @nx.HookimplMarker("zoo")
    def act(self, value: Any) -> Any:
        """Have the plugin say something."""
        outcome = self.kernel.options(only={self.plugin}).call("echo", value=["asked", value])
        return outcome.unwrap()


def opened(open_zoo: Opens, *animals: str, builtins: int = 1, **options: Any) -> Zoo:
    """A kernel over *animals* and some builtins that ask the first of them."""
    asking = {f"questioner-{number:03}": Asks(animals[0]) for number in range(builtins)}
    zoo = open_zoo(patient, *animals, builtins=asking, **options)
    for each in asking.values():
        each.kernel = zoo.kernel
    return zoo


def in_time(action: Callable[[], Any]) -> Any:
    """Return what *action* gives, in a thread that a deadlock may hold for ever."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(action()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it waits for itself"
    return given[0]


def test_builtin_calls_a_plugin_of_the_same_fan_out(open_zoo: Opens) -> None:
    """The plugin is busy with the very call whose other provider waits for it."""
    zoo = opened(open_zoo, "prints", "wraps.new")
    result = in_time(lambda: zoo.kernel.call("act", value=1))
    assert sorted(result.value, key=str) == [1, [["asked", 1]]]


def test_event_loop_goes_on_as_well(open_zoo: Opens) -> None:
    """There too: for the call of the builtin, and for another one of the same loop."""
    zoo = opened(open_zoo, "prints")

    async def main() -> Any:
        calls = [zoo.kernel.acall("act", value=number) for number in range(8)]
        return [result.value for result in await asyncio.gather(*calls)]

    values = in_time(lambda: asyncio.run(main()))
    assert [sorted(value, key=str) for value in values] == [
        [number, [["asked", number]]] for number in range(8)
    ]


def test_it_may_wait_for_a_call_that_waits_for_another_thread(open_zoo: Opens) -> None:
    """The fan-out's own call is first in the plugin's queue, and nobody may pass it."""
    zoo = opened(open_zoo, "sleeps")
    sleeper = threading.Thread(target=lambda: zoo.act("sleeps", 0.5))
    sleeper.start()
    eventually(lambda: zoo.kernel.health()["sleeps"].state == "busy", "the sleeper sleeps")
    result = in_time(lambda: zoo.kernel.call("act", value=0))
    sleeper.join()
    assert result.error is None
    assert ["asked", 0] in [value[0] for value in result.value if isinstance(value, list)]


def test_many_builtins_ask_one_after_the_other(open_zoo: Opens) -> None:
    """None of them is begun within another one: the stack is as deep for all as for one."""
    zoo = opened(open_zoo, "prints", builtins=100)
    result = in_time(lambda: zoo.kernel.call("act", value=1))
    assert result.error is None
    assert result.value == [1, *[[["asked", 1]]] * 100]


class Clerk:
    """A builtin that answers a plugin after asking the other ones."""

    kernel: Any = None

    @nx.HookimplMarker("zoo")
    def echo(self, value: Any) -> Any:
        """Have the others say something else."""
        if value != "asked":
            return None
        return self.kernel.options(only={"prints", "tells"}).call("echo", value="inner").value


def test_builtin_that_a_plugin_calls_may_ask_all_that_are_busy(open_zoo: Opens) -> None:
    """One waits for this builtin, the other one has a call of the same fan-out."""
    clerk = Clerk()
    rules = allow("tells", "echo")
    zoo = open_zoo(patient, "prints", "tells", builtins={"zeno": clerk}, rules=rules)
    clerk.kernel = zoo.kernel
    result = in_time(lambda: zoo.kernel.call("act", value="asked"))
    assert result.value == ["asked", ["asked", ["inner"]]]


def test_a_handler_of_a_signal_may_call_who_is_being_called_more_than_once(
    open_zoo: Opens,
) -> None:
    """The first of its calls takes the one below over, whose driver is in its wait all the same."""
    zoo = open_zoo(patient, "remembers")
    folder, main = zoo.kernel.run.dir / "plugins" / "remembers", threading.main_thread().ident
    made = list[nx.Outcome]()
    assert main is not None

    def handler(*_: object) -> None:
        (folder / "go").touch()
        made.extend(zoo.ask("remembers", "act", value=each) for each in range(3))

    def waits() -> bool:
        frames = traceback.walk_stack(sys._current_frames()[main])
        return any(frame.f_code.co_name == "_waited" for frame, _ in frames)

    def kick() -> None:
        eventually((folder / "waits").exists, "the outer call is under way")
        eventually(waits, "its thread waits")
        time.sleep(0.1)  # Until it is in there; struck before that, it says less.
        signal.pthread_kill(main, signal.SIGUSR1)

    before, kicker = signal.signal(signal.SIGUSR1, handler), threading.Thread(target=kick)
    kicker.start()
    try:
        assert zoo.ask("remembers", "wrapped", value=1).ok
    finally:
        kicker.join()
        signal.signal(signal.SIGUSR1, before)
    assert [each.ok for each in made] == [True] * 3
