"""What a plugin writes to its output becomes its log, and nothing else."""

from __future__ import annotations

from tests.process.conftest import Opens
from tests.support.zoo import Zoo, eventually, patient

ANIMALS = ("prints", "floods")


def test_printing_is_harmless(zoo: Zoo) -> None:
    """print(), sys.stdout, descriptor 1, stderr and the logger all end in the log."""
    assert zoo.act("prints", "value").value == "value"
    eventually(lambda: "logged" in zoo.log("prints"), "the log has the last line")
    for text in ("printed", "is not UTF-8", "red", "complained"):
        assert text in zoo.log("prints")


def test_log_cannot_steer_a_terminal(zoo: Zoo) -> None:
    """Control characters are shown, not obeyed."""
    zoo.act("prints")
    eventually(lambda: "red" in zoo.log("prints"), "the log has the line")
    assert "\\x1b[31mred" in zoo.log("prints")
    assert "\x1b" not in zoo.log("prints")


def test_flood_is_drained_and_bounded(zoo: Zoo) -> None:
    """8 MiB on each of stdout and stderr block nothing; the log keeps the end."""
    assert zoo.act("floods", 128).value == 128
    eventually(lambda: zoo.log("floods").endswith("the end\n"), "the log is drained")
    assert len(zoo.log("floods")) <= 64 * 1024
    assert zoo.answers("floods")


def test_endless_flood_costs_its_neighbours_nothing(open_zoo: Opens) -> None:
    """A thread that never stops writing is held up by its pipe; others answer, closing works."""
    zoo = open_zoo(patient, "floods", "prints")
    assert zoo.act("floods", -1).value == "flooding"
    eventually(lambda: len(zoo.log("floods")) > 32 * 1024, "the flood has begun")
    for value in range(20):
        assert zoo.act("prints", value).value == value
    assert len(zoo.log("floods")) <= 64 * 1024
    assert zoo.answers("floods")
