"""The search: which calls differ, what makes them, and nothing else."""

from __future__ import annotations

from nxkernel.variation.catalogue import ADVICE, rounds
from nxkernel.variation.conditions import Conditions
from nxkernel.variation.findings import Finding, Report
from nxkernel.variation.search import search
from tests.support.worlds import Moment, World, subjects

ROUNDS = rounds([0, 1])
NAMES = sorted({each.name for some in ROUNDS for each in some})


def found(report: Report) -> list[tuple[str, list[str], list[str]]]:
    """Which call, what is varied, what it needs."""
    return [_told(each) for each in report.findings]


def _told(finding: Finding) -> tuple[str, list[str], list[str]]:
    varied = sorted(each.name for each in finding.variations)
    return finding.call.label, varied, [call.label for call in finding.needs]


def on(*names: str) -> World:
    """A world in which call `b` follows from all of *names* together."""
    return World(b=lambda moment: {"deep": [1, set(names) <= moment.varied]})


def test_nothing_is_found_where_nothing_differs() -> None:
    """Every call was made in each round, as usual before and after them."""
    world = World()
    report = search(world, subjects("a", "b"), ROUNDS)
    assert report.ok
    assert report.state("p") == "warm"
    assert [conditions for _, conditions in world.trials].count(Conditions()) == 3
    assert set(report.varied) == set(NAMES) == set(ADVICE)


def test_each_source_is_found_by_its_name() -> None:
    """The one call that follows from it is named, with the place in the value, and no other."""
    for name in sorted(set(NAMES) - {"call order", "fresh process"}):
        report = search(on(name), subjects("a", "b", "c"), ROUNDS)
        assert found(report) == [("b", [name], [])], name
        (finding,) = report.findings
        assert (finding.path, finding.usual, finding.varied) == ("$.deep[1]", "false", "true")
        assert finding.advice == (ADVICE[name],)


def test_two_that_only_do_it_together_are_found_together() -> None:
    """Neither is blamed alone."""
    report = search(on("hash seed", "clock"), subjects("a", "b"), ROUNDS)
    assert found(report) == [("b", ["clock", "hash seed"], [])]


def test_every_source_of_a_call_is_found() -> None:
    """Mending one of them is not the end of it."""
    world = World(b=lambda m: ["hash seed" in m.varied, "time zone" in m.varied])
    report = search(world, subjects("a", "b"), ROUNDS)
    assert sorted(found(report)) == [("b", ["hash seed"], []), ("b", ["time zone"], [])]


def test_what_differs_by_itself_is_blamed_on_nothing() -> None:
    """Neither is it looked at further: it would seem to follow from whatever is varied."""
    world = World(b=lambda moment: moment.tick)
    report = search(world, subjects("a", "b"), ROUNDS)
    assert found(report) == [("b", [], [])]
    assert report.findings[0].by_itself
    assert report.state("p") == "unknown"


def test_what_differs_now_and_then_is_blamed_on_nothing() -> None:
    """It was the same twice, and the variation under which it was not has nothing to do with it."""
    for odd in (2, 4):
        report = search(World(b=lambda m, odd=odd: m.trial == odd), subjects("a", "b"), ROUNDS)
        assert found(report) in ([("b", [], [])], []), odd


def test_what_comes_out_otherwise_each_time_hides_nothing_else() -> None:
    """Addresses at random change with the size of the environment too: they are blamed alone."""

    def address(moment: Moment) -> object:
        return moment.tick if "addresses" in moment.varied else "locale" in moment.varied

    assert found(search(World(b=address), subjects("a", "b"), ROUNDS)) == [("b", ["addresses"], [])]


def test_the_call_that_left_something_behind_is_found() -> None:
    """Among all the others; and the plugin needs a process for each call."""
    labels = [f"c{number}" for number in range(12)]
    world = World(c9=lambda moment: "c4" in moment.before)
    report = search(world, subjects(*labels), ROUNDS)
    assert found(report) == [("c9", ["call order"], ["c4"])]
    assert report.state("p") == "fresh"


def test_a_variation_that_needs_another_call_is_found_with_it() -> None:
    """A cache that an earlier call has filled, otherwise under another hash seed."""
    world = World(c=lambda m: "hash seed" in m.varied and "a" in m.before)
    report = search(world, subjects("a", "b", "c"), ROUNDS)
    assert ("c", ["hash seed"], ["a"]) in found(report)


def test_calls_of_other_plugins_are_not_made_again() -> None:
    """A search over many plugins costs what the broken ones cost."""
    world = on("time zone")
    calls = [*subjects("a", "b"), *subjects("x", "y", plugin="q")]
    report = search(world, calls, ROUNDS)
    assert found(report) == [("b", ["time zone"], [])]
    assert (
        sum("x" in labels for labels, _ in world.trials) == 7
    )  # as usual five times, three rounds


def test_a_search_that_is_cut_short_says_so() -> None:
    """With what it had found by then."""
    world = World(b=lambda m: m.tick, c=lambda m: "time zone" in m.varied)
    report = search(world, subjects("a", "b", "c"), ROUNDS, most=5)
    assert report.cut_short
    assert report.trials == 5
    assert found(report) == [("b", [], [])]


def test_one_processor_has_nothing_to_vary() -> None:
    """The report says what was varied, and does not claim it."""
    names = {each.name for some in rounds([0]) for each in some}
    assert names == set(NAMES) - {"processors"}


def test_a_processor_without_older_code_has_its_kind_left_alone() -> None:
    """A library that was told to use what it cannot run would end the worker."""
    names = {each.name for some in rounds([0, 1], vectors=False) for each in some}
    assert names == set(NAMES) - {"processor"}
