"""One zygote per launch profile, started when it is needed and replaced when it is gone."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from nxkernel.errors import EnvironmentUnavailable, KernelConfigError
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.launch import Environment, Fence, Load
from nxkernel.host.logs import LogTail
from nxkernel.host.zygote import Profile
from nxkernel.host.zygotes import Zygotes
from tests.support.descriptors import open_files
from tests.unit.host.test_launch import LAUNCH
from tests.unit.host.test_zygote import READY, profile


class Bench:
    """A housekeeper that hears the zygotes, and a way to wait for what it heard."""

    def __init__(self) -> None:
        self.rung = threading.Condition()
        self.housekeeper = Housekeeper(self._ring)
        self.zygotes = Zygotes(self.housekeeper)
        self.housekeeper.start()

    def _ring(self) -> None:
        with self.rung:
            self.rung.notify_all()

    def close(self) -> None:
        self.zygotes.end()
        self.housekeeper.stop()
        self.zygotes.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Nothing is left open afterwards."""
    before = open_files()
    made = Bench()
    yield made
    made.close()
    assert open_files() == before


@pytest.fixture
def ready(tmp_path: Path) -> Profile:
    """A profile whose zygote starts."""
    return profile(tmp_path, READY)


def test_equal_profiles_share_a_zygote(bench: Bench, ready: Profile) -> None:
    """Sharing is by what a profile says, not by which object says it."""
    again = attrs.evolve(ready, environment=dict(ready.environment))
    assert bench.zygotes.of(ready) is bench.zygotes.of(again)


def test_another_environment_is_another_zygote(bench: Bench, ready: Profile) -> None:
    """Workers inherit the environment and the hash seed of their zygote."""
    other = attrs.evolve(ready, environment={"PYTHONHASHSEED": "1"})
    assert bench.zygotes.of(ready).pid != bench.zygotes.of(other).pid


def test_a_zygote_that_ended_is_replaced(bench: Bench, ready: Profile) -> None:
    """The machine may be out of memory for a moment: that must not cost every later start."""
    first = bench.zygotes.of(ready)
    os.kill(first.pid, 9)
    with bench.rung:
        assert bench.rung.wait_for(lambda: first.gone, 20)
    second = bench.zygotes.of(ready)
    assert second.pid != first.pid
    assert not second.gone


def test_a_zygote_that_does_not_start_is_tried_again(bench: Bench, tmp_path: Path) -> None:
    """A failure to start is not remembered."""
    broken = profile(tmp_path, "raise SystemExit(3)")
    for _ in range(2):
        with pytest.raises(Exception, match="did not start"):
            bench.zygotes.of(broken)
    assert sys.executable == str(broken.python)


@pytest.mark.parametrize("own", [True, False], ids=["own environment", "the application's"])
def test_an_interpreter_of_one_plugin_that_fails_concerns_it_alone(
    bench: Bench, tmp_path: Path, own: bool
) -> None:
    """A plugin's own interpreter that does not start disables that plugin; ours stops the boot."""
    broken = attrs.evolve(profile(tmp_path, "raise SystemExit(1)"), environment={"LANG": "C.UTF-8"})
    load = Load(
        plugin="p.own",
        project="t",
        entrypoint="plugin",
        code_dir="/code",
        settings=b"",
        write_roots=(),
        import_seed=b"",
        run_started_ns=0,
        fence=Fence(read=[], connect=[], listen=[], processes=False),
        environment=Environment(prefix="/e", python="/e/bin/python", site="/e/s") if own else None,
    )
    launch = attrs.evolve(LAUNCH, profile=broken, load=load)
    with pytest.raises(EnvironmentUnavailable if own else KernelConfigError) as caught:
        bench.zygotes.start(launch, LogTail(1000), 1)
    assert caught.value.code == ("environment.interpreter" if own else "kernel.config")
