"""A plugin that raises: one outcome, the same bytes each time, and the next call works."""

from __future__ import annotations

import pytest

from tests.support.zoo import Zoo

ANIMALS = ("raises",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ordinary", "ValueError: bad value"),
        ("textless", "ValueError"),
        ("exit", "SystemExit: 7"),
        ("interrupt", "KeyboardInterrupt"),
        ("generator exit", "GeneratorExit"),
        ("unprintable", "Unprintable: <the exception's text cannot be made>"),
        ("group", "ExceptionGroup: two (2 sub-exceptions)"),
        ("surrogate", "LookupError: name ?"),
    ],
)
def test_exception_is_an_outcome(zoo: Zoo, name: str, message: str) -> None:
    """Whatever is raised, also what would end a process, is the plugin's failure."""
    outcome = zoo.act("raises", name)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.message) == ("plugin.raised", message)
    assert (outcome.fault, outcome.value) == ("plugin", None)
    assert zoo.answers("raises")


def test_worker_survives_its_exceptions(zoo: Zoo) -> None:
    """An exception costs no process: the same worker takes the next call."""
    zoo.act("raises", "exit")
    assert zoo.kernel.plugins["raises"].starts == 1


def test_message_has_no_address(zoo: Zoo) -> None:
    """The address of an object, different in every run, is left out."""
    outcome = zoo.act("raises", "address")
    assert outcome.error is not None
    assert outcome.error.message == "LookupError: no <object object at 0x…> here"


def test_message_has_no_place_of_this_machine(zoo: Zoo) -> None:
    """The verified copy's path, different on every machine, is named by its template."""
    outcome = zoo.act("raises", "location")
    assert outcome.error is not None
    assert outcome.error.message == "LookupError: in {plugin_dir}/plugin.py"
    assert outcome.error.details["frames"][-1]["file"] == "{plugin_dir}/plugin.py"
    assert outcome.error.details["frames"][-1]["function"] == "located"


def test_long_message_is_cut(zoo: Zoo) -> None:
    """A text of a million characters does not reach the audit whole."""
    outcome = zoo.act("raises", "endless")
    assert outcome.error is not None
    assert outcome.error.message.startswith("LookupError: xxx")
    assert len(outcome.error.message) < 10_000


def test_denied_path_has_a_hint(zoo: Zoo) -> None:
    """An OSError of the sandbox says which path it was and where to ask for it."""
    outcome = zoo.act("raises", "denied")
    assert outcome.error is not None
    assert outcome.error.details["errno"] == "EACCES"
    assert outcome.error.details["path"] == "/etc/passwd"
    assert 'read = ["/etc/passwd"] below [permissions]' in outcome.error.message
