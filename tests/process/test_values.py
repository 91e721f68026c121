"""Values cross in both directions by the annotations at each end."""

from __future__ import annotations

import datetime
import decimal
import uuid
from pathlib import Path

import pytest

import nxkernel as nx
from tests.support.zoo import Mood, Stop, Trip, Zoo

ANIMALS = ("travels", "prints", "makes")

NOON = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
TRIP = Trip(
    id=uuid.UUID(int=5),
    stops=(Stop("here", NOON),),
    moods={Mood.CALM, Mood.WILD},
    price=decimal.Decimal("1.50"),
    diary=Path("/diary"),
    photo=b"\x00\xff\x01",
)


def test_annotated_value_is_an_object_on_both_sides(zoo: Zoo) -> None:
    """attrs class, dataclass, datetime, UUID, Decimal, Enum, set, tuple, Path and bytes."""
    (back,) = zoo.kernel.hook.travel(trip=TRIP)
    assert back == Trip(
        id=TRIP.id,
        stops=(TRIP.stops[0], Stop("HERE", NOON + datetime.timedelta(days=1))),
        moods={Mood.CALM},
        price=decimal.Decimal("3.00"),
        diary=Path("/diary/last.txt"),
        photo=b"\x01\xff\x00",
    )


def test_caller_keeps_its_own_objects(zoo: Zoo) -> None:
    """Nothing that a plugin does to its arguments is seen by the caller."""
    before = [1, {"two": [3]}]
    zoo.act("prints", before)
    assert before == [1, {"two": [3]}]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**63 - 1,
        -0.0,
        1e-320,
        "",
        "\0 \U0010ffff",
        b"",
        [],
        {},
        [[[{"a": [None]}]]],
        {"": 1, "b": 2},
    ],
    ids=repr,
)
def test_plain_value_comes_back_as_it_was(zoo: Zoo, value: object) -> None:
    """Whatever may cross plainly crosses twice without a change, down to its type."""
    back = zoo.act("prints", value).value
    assert repr(back) == repr(value)


def test_large_value_crosses(zoo: Zoo) -> None:
    """8 MiB there and back, far more than pipes hold."""
    data = bytes(range(256)) * (8 << 12)
    assert zoo.act("prints", data).value == data


def test_value_beyond_the_frame_is_refused(zoo: Zoo) -> None:
    """An argument that no frame can hold is the caller's mistake; no worker is lost over it."""
    starts = zoo.kernel.plugins["prints"].starts
    with pytest.raises(nx.CallRejected, match="bytes"):
        zoo.act("prints", bytes(65 << 20))
    assert zoo.act("prints", 1).value == 1
    assert zoo.kernel.plugins["prints"].starts == starts


def test_result_beyond_the_frame_is_refused(zoo: Zoo) -> None:
    """A result of 100 MiB is the plugin's mistake, told by its worker, which goes on."""
    outcome = zoo.act("makes", 100 << 20)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert "bytes; the limit is" in outcome.error.message
    assert zoo.act("makes", 1).value == b"\0"
    assert zoo.kernel.plugins["makes"].starts == 1


def test_argument_that_cannot_cross_names_its_path(zoo: Zoo) -> None:
    """The caller's mistake is raised at the caller, before any worker hears of it."""
    with pytest.raises(nx.CallRejected, match=r"value\.frames\[1\]: object cannot cross"):
        zoo.kernel.call("act", value={"frames": [0, object()]})
