"""What a desk goes by: views, and what is usual where nothing is said."""

from __future__ import annotations

from typing import Any

from nxkernel.host.builtin import Builtins
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.hookcalls import Nests
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.terms import Terms
from nxkernel.settings import Hosting
from nxkernel.types import PluginId, RunId
from tests.support.calls import FakeClock


def terms(**more: Any) -> Terms:
    return Terms(
        run_id=RunId("r1"),
        specs={},
        registry=Registry("demo", {}),
        middleware=(),
        builtins=Builtins("demo", {}),
        builtin_ids=frozenset(),
        facts={},
        timeouts={},
        depths={},
        disabled=lambda plugin, edition: None,
        hosting=Hosting(),
        clock=FakeClock(),
        level="confined",
        **more,
    )


def test_whoever_is_loaded_later_is_known_to_the_parts() -> None:
    """An allowlist that is empty still is not mistaken for none: it will be filled."""
    living: dict[PluginId, Any] = {}
    given = terms(residents=living)
    drafts, deliveries = given.drafts(), given.deliveries(Annotations(), Nests())
    living[PluginId("a")] = object()
    assert PluginId("a") in drafts.residents
    assert PluginId("a") in deliveries.residents


def test_calls_wait_as_is_usual_where_nothing_is_said() -> None:
    """In a thread until there is an answer, in an event loop not at all."""
    given = terms()
    assert given.look_of("act")(0, lambda: "there") == "there"
    assert given.glance_of("act")(0, lambda: "there") is False


def test_two_desks_share_nothing_that_was_not_given() -> None:
    """Whoever is loaded for one kernel is nobody to another, and their bells are two."""
    one, other = terms(), terms()
    assert one.residents is not other.residents
    assert one.bell is not other.bell
    assert one.answers is not other.answers
