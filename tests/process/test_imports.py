"""A plugin that fails at its start is disabled with the reason; nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, build, code_of

#: Animal, code, and what the message says.
FAULTS = [
    ("import.raises", "plugin.start", "RuntimeError: not on this machine: {plugin_dir}/plugin.py"),
    ("import.exits", "plugin.start", "SystemExit: not today"),
    ("import.ends", "plugin.crashed", "ended while it was starting"),
    ("import.segfault", "plugin.crashed", "ended while it was starting"),
    ("import.hangs", "plugin.timeout", "overran its deadline while it was starting"),
    ("import.babbles", "protocol.violation", "a frame announces 4294967295 bytes"),
    ("import.lingers", "plugin.start", "as if"),
    ("init.raises", "plugin.start", "KeyError: 'no model here'"),
    ("init.calls", "plugin.start", "context.call works while a hookimpl runs"),
    ("entrypoint.missing", "plugin.start", "module 'plugin' has no 'Plugin'"),
    ("module.missing", "plugin.start", "No module named 'plugins'"),
    ("hooks.missing", "plugin.handshake", "the manifest names 'echo', the code does not"),
    ("hooks.extra", "plugin.handshake", "the code implements 'echo', the manifest does not"),
    ("hooks.argument", "plugin.handshake", "'colour'"),
]
#: What sounds dangerous and is none of the kernel's business.
HARMLESS = ("import.threads", "import.atexit")

ANIMALS = ("prints", "hooks.unknown", *HARMLESS, *(name for name, _, _ in FAULTS))
#: Meant to be missed by the one that hangs, and by none of the others, which all start at once.
OPTIONS = {"hosting": nx.Hosting(start_timeout_s=10.0)}


@pytest.mark.parametrize(("animal", "code", "words"), FAULTS)
def test_start_that_fails_disables_the_plugin(zoo: Zoo, animal: str, code: str, words: str) -> None:
    """The view and the outcome of every call have the code and the reason."""
    view = zoo.kernel.plugins[animal]
    assert view.state == "disabled"
    assert isinstance(view.error, nx.PluginDisabled)
    assert view.error.code == code
    assert words in view.error.message
    outcome = zoo.act(animal)
    assert (code_of(outcome), outcome.fault) == (code, "plugin")


def test_hook_that_does_not_exist_disables_the_plugin(zoo: Zoo) -> None:
    """A hook that the application does not offer is named, with those that it does."""
    error = zoo.kernel.plugins["hooks.unknown"].error
    assert isinstance(error, nx.PluginDisabled)
    assert error.code == "plugin.handshake"
    assert "'dance' does not exist; known: act" in error.message


def test_exit_status_of_a_start_is_kept(zoo: Zoo) -> None:
    """How the process ended is in the details."""
    ended, segfault = (zoo.kernel.plugins[f"import.{n}"].error for n in ("ends", "segfault"))
    assert isinstance(ended, nx.NxError)
    assert isinstance(segfault, nx.NxError)
    assert ended.details["exit_status"] == 3
    assert segfault.details["signal"] == 11


@pytest.mark.parametrize("animal", HARMLESS)
def test_threads_and_exit_handlers_do_no_harm(zoo: Zoo, animal: str) -> None:
    """A thread or exit handler that never ends keeps nobody from calling the plugin."""
    assert zoo.act(animal, "value").value == "value"


def test_neighbour_of_all_these_works(zoo: Zoo) -> None:
    """Fifteen broken plugins beside it change nothing for a good one."""
    assert zoo.act("prints", "value").value == "value"
    assert zoo.kernel.plugins["prints"].error is None


def test_fan_out_over_broken_plugins_is_degraded(zoo: Zoo) -> None:
    """The hook has the values of the others, and one outcome for each that is missing."""
    result = zoo.kernel.call("act", value="value")
    assert result.value == ["value"] * 3
    assert result.degraded
    assert len(result) == 3 + len(FAULTS)


def test_required_plugin_stops_the_boot(open_zoo: Opens) -> None:
    """`required=` turns the reason of one plugin into the reason of the boot."""
    with pytest.raises(nx.PluginDisabled, match="not on this machine") as caught:
        open_zoo(build, "prints", "import.raises", required={"import.raises"})
    assert caught.value.code == "plugin.start"


def test_unknown_required_plugin_stops_the_boot(open_zoo: Opens) -> None:
    """A required id that nobody has is an error that lists the ids that exist."""
    with pytest.raises(nx.KernelConfigError, match=r"'absent' was not found; found: prints"):
        open_zoo(build, "prints", required={"absent"})


def impl(name: str, hook: str = "act", args: object = ("value",), **flags: bool) -> list[Any]:
    """A hookimpl as a worker describes it."""
    names = ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook")
    return [name, hook, args, [], *(flags.get(each, False) for each in names)]


@pytest.mark.parametrize(
    "words",
    [
        [],
        [impl("__init__")],
        [impl("__new__")],
        [impl("__class__")],
        [impl("two words")],
        [impl("class")],
        [impl("act", args=["value", "value"])],
        [impl("act", args=["class"])],
        [impl("act", args=["self"])],
        [impl("act", args=["x y"])],
        [impl("act", args=[f"a{n}" for n in range(500)])],
        [impl("act", wrapper=True, hookwrapper=True)],
        [impl("act", hook="echo")],
        [impl("act"), impl("other", hook="nowhere", optionalhook=True)],
    ],
    ids=lambda words: " ".join(str(w[:3]) for w in words)[:40] or "nothing",
)
def test_impostor_is_refused(open_zoo: Opens, words: list[Any]) -> None:
    """What a worker says it implements becomes functions in the host: impossible ones do not."""
    zoo = open_zoo(
        build,
        "prints",
        "impostor",
        settings={"impostor": {"impls": words}},
        hosting=nx.Hosting(start_timeout_s=5.0),
    )
    assert code_of(zoo.act("impostor")) == "plugin.handshake"
    assert zoo.act("prints", "value").value == "value"
