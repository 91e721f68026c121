"""Surroundings other than usual reach the worker for real, and nothing else of it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.host.addresses import can_be_fixed
from nxkernel.testing import FakeClock
from tests.support import zoo
from tests.support.sources import PREVENTED, Source

_DAY_S = 24 * 3600
_BODY = """
import datetime, glob, os, pathlib, sqlite3, time

KEPT = time.time  # as a library keeps a clock by its name

@hookimpl
def act(value):
    place = pathlib.Path("files")
    place.mkdir(exist_ok=True)
    for number in range(20):
        (place / f"{number:02}").touch()
    real = sqlite3.connect(":memory:").execute("select unixepoch()").fetchone()[0]
    day = 24 * 3600
    return {
        "zone": time.tzname[0],
        "hash": hash("text"),
        "threads": os.environ["OMP_NUM_THREADS"],
        "listed": os.listdir(place),
        "scanned": [entry.name for entry in os.scandir(place)],
        "globbed": [os.path.basename(name) for name in glob.glob("files/*")],
        "processors": [sorted(os.sched_getaffinity(0)), os.cpu_count()],
        "home": os.path.basename(os.environ["HOME"]),
        "temporary": os.path.basename(os.environ["TMPDIR"]),
        "ahead": [round((seconds - real) / day) for seconds in (
            time.time(), KEPT(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME),
            datetime.datetime.now().timestamp(), datetime.datetime.now(datetime.UTC).timestamp(),
            datetime.datetime.today().timestamp(), time.mktime(time.localtime()),
            time.mktime(time.strptime(time.ctime())), time.mktime(time.strptime(time.asctime())),
        )],
        "dates": [(datetime.date.today() - datetime.date.fromtimestamp(real)).days,
                  int(time.strftime("%Y")) - time.gmtime(real).tm_year],
        "counter": time.monotonic(),
        "now": context_now(),
        "address": id(object),
    }

class Plugin:
    def __init__(self, context):
        global context_now
        context_now = lambda: context.now().isoformat()
    act = hookimpl(lambda self, value: act(value))
"""
USUAL = nx.Surroundings()
OTHER = nx.Surroundings(
    environment={"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4", "OMP_NUM_THREADS": "3"},
    listing="reversed",
    processors=(min(os.sched_getaffinity(0)),),
    clock_s=400 * _DAY_S,
    swapped=True,
)


def lived(place: Path, surroundings: nx.Surroundings, **options: Any) -> dict[str, Any]:
    """What a plugin sees in *surroundings*."""
    source = Source(name="looks", fate=PREVENTED, body=_BODY)
    folder = source.write(place / "plugins")
    manifest = folder / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('"plugin"', '"plugin:Plugin"'))
    hosting = nx.Hosting(surroundings=surroundings, **options)
    with zoo.build(place / "data", folders=[folder], hosting=hosting, clock=FakeClock()) as kernel:
        (found,) = kernel.options(timeout=zoo.PATIENCE_S).hook.act(value=1)
    return dict(found)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Seen in the usual ones."""
    return lived(tmp_path_factory.mktemp("usual"), USUAL)


@pytest.fixture(scope="module", params=["zygote", "spawn"])
def other(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Seen in others, whichever way workers are started."""
    return lived(tmp_path_factory.mktemp("other"), OTHER, launcher=request.param)


def test_variables_win_over_what_is_pinned(usual: Any, other: Any) -> None:
    """Time zone, hash seed and threads are what was asked for, in force and not only set."""
    assert (usual["zone"], other["zone"]) == ("UTC", "+0545")
    assert usual["hash"] != other["hash"]
    assert (usual["threads"], other["threads"]) == ("1", "3")


@pytest.mark.parametrize("way", ["listed", "scanned", "globbed"])
def test_folders_go_the_other_way(usual: Any, other: Any, way: str) -> None:
    """By every way that leads to them."""
    assert usual[way] == sorted(usual[way])
    assert other[way] == usual[way][::-1]


def test_a_shuffle_is_the_same_each_time_and_no_order(tmp_path: Path) -> None:
    """It follows from the names, so that a difference can be found again."""
    first, again = (
        lived(tmp_path / name, nx.Surroundings(listing="shuffled")) for name in ("one", "two")
    )
    assert first["listed"] == again["listed"] == first["scanned"]
    assert first["listed"] not in (sorted(first["listed"]), sorted(first["listed"])[::-1])


def test_processors_are_those_that_were_named(usual: Any, other: Any) -> None:
    """The system holds the worker to them, and Python counts no more."""
    assert usual["processors"][0] == sorted(os.sched_getaffinity(0))
    assert other["processors"] == [[min(os.sched_getaffinity(0))], 1]


def test_the_wall_clock_is_ahead_and_no_other(usual: Any, other: Any) -> None:
    """Every way to ask Python for the present; counters and the run's start are as they were."""
    assert set(usual["ahead"]) == {0}
    assert set(other["ahead"]) == {400}
    assert other["dates"][0] in (400, 401)  # midnight may pass in between
    assert other["dates"][1] in (1, 2)
    assert abs(other["counter"] - time.monotonic()) < _DAY_S
    assert usual["now"] == other["now"]


def test_home_and_temporary_folder_change_places(usual: Any, other: Any) -> None:
    """Both are there either way."""
    assert (usual["home"], usual["temporary"]) == ("home", "tmp")
    assert (other["home"], other["temporary"]) == ("tmp", "home")


def test_addresses_are_fixed_or_random_as_asked(tmp_path: Path) -> None:
    """Whatever the guard's mode would have."""
    addresses = {
        which: {
            lived(tmp_path / which / str(n), nx.Surroundings(addresses=which))["address"]  # type: ignore[arg-type]
            for n in range(2)
        }
        for which in ("fixed", "random")
    }
    assert len(addresses["random"]) == 2
    assert len(addresses["fixed"]) == (1 if can_be_fixed() else 2)


def test_the_runs_header_has_what_is_other_than_usual(tmp_path: Path) -> None:
    """Who looks at the audit later sees that this run was no ordinary one."""
    headers = []
    for name, surroundings in (("usual", USUAL), ("other", OTHER)):
        hosting = nx.Hosting(surroundings=surroundings)
        with zoo.build(tmp_path / name, "plain.a", hosting=hosting) as kernel:
            kernel.hook.echo(value=1)
        with zoo.AuditReader(kernel.run.audit_log.path) as reader:
            headers.append(reader.runs(kernel.run.id)[0].environment)
    assert "surroundings" not in headers[0]
    assert headers[1]["surroundings"] == {
        "environment": {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4", "OMP_NUM_THREADS": "3"},
        "listing": "reversed",
        "processors": [min(os.sched_getaffinity(0))],
        "clock_s": 400 * _DAY_S,
        "swapped": True,
    }


def test_an_order_that_there_is_not_is_refused() -> None:
    """With the ones that there are."""
    with pytest.raises(nx.KernelConfigError, match="expected one of sorted, reversed, shuffled"):
        nx.Surroundings(listing="any")  # type: ignore[arg-type]
