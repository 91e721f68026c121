"""A degraded answer is marked as such through to the one who asked first."""

from __future__ import annotations

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import allow, build, code_of


def test_a_nested_degraded_answer_degrades_what_rests_on_it(open_zoo: Opens) -> None:
    """The plugin asked two neighbours and heard of one: its own answer says so, and the result."""
    zoo = open_zoo(
        build,
        *("fades", "prints", "dies"),
        rules=allow("fades", "echo"),
        hosting=nx.Hosting(restart_intensity=0),
    )
    whole = zoo.kernel.options(only={"fades"}).call("once", value=["whole", "answer"])
    assert (whole.degraded, whole[0].degraded) == (False, False)
    assert code_of(zoo.act("dies", "exit")) == "plugin.crashed"
    result = zoo.kernel.options(only={"fades"}).call("once", value=["part", "answer"])
    assert (result.error, result.degraded) == (None, True)
    (outcome,) = result
    assert (outcome.ok, outcome.degraded) == (True, True)
