"""A run: its id, its folders, its seed; and the standard stack around its calls."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.run import Run, begun_as, standard_stack
from tests.support.calls import FakeClock
from tests.support.descriptors import open_files


def test_ids_count_up_in_each_data_directory(tmp_path: Path) -> None:
    """Other data, other numbers."""
    assert [Run.create(tmp_path / "a").id for _ in range(3)] == ["r000001", "r000002", "r000003"]
    assert Run.create(tmp_path / "b").id == "r000001"


def test_an_id_is_never_used_again(tmp_path: Path) -> None:
    """Gaps stay gaps, and what is no run is passed over."""
    runs = tmp_path / "runs"
    for name in ("r000007", "r000002", "notes", "rabbit", "r²"):
        (runs / name).mkdir(parents=True)
    assert Run.create(tmp_path).id == "r000008"
    (runs / "r000003").mkdir()
    assert Run.create(tmp_path).id == "r000009"


def test_a_data_directory_is_laid_out(tmp_path: Path) -> None:
    """Audit and run folder are there, and nobody else can look into them."""
    run = Run.create(tmp_path / "new" / "data", seed=7)
    assert run.data_dir == tmp_path / "new" / "data"
    assert run.dir == run.data_dir / "runs" / run.id
    assert run.audit_log.path == run.data_dir / "audit" / "audit.db"
    for folder in (run.dir, run.dir.parent, run.data_dir / "audit"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert run.seed == 7


def test_a_relative_directory_is_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its directory later does not move its data."""
    monkeypatch.chdir(tmp_path)
    run = Run.create("data")
    assert run.data_dir == tmp_path / "data"
    assert run.dir.is_absolute()


@pytest.mark.parametrize("seed", [0, -5, 2**70, "", "a name"])
def test_a_seed_is_an_int_or_a_name(tmp_path: Path, seed: int | str) -> None:
    """And is kept as it was given."""
    assert Run.create(tmp_path, seed=seed).seed == seed


@pytest.mark.parametrize("seed", [True, 1.5, None, b"bytes", ("a", 1)])
def test_another_seed_is_a_mistake(tmp_path: Path, seed: Any) -> None:
    """Told before anything is made."""
    with pytest.raises(nx.KernelConfigError, match=f"not {type(seed).__name__}"):
        Run.create(tmp_path / "data", seed=seed)
    assert not (tmp_path / "data").exists()


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    """A file in its place, for one."""
    (tmp_path / "file").write_text("")
    with pytest.raises(nx.StorageError, match="choose a folder that this user may write") as error:
        Run.create(tmp_path / "file" / "data")
    assert "Not a directory" in error.value.message


def test_the_clock_is_the_applications(tmp_path: Path) -> None:
    """The start of a run is read from it once."""
    clock = FakeClock(1234.5)
    run = Run.create(tmp_path, clock=clock)
    clock.now += 10
    assert (run.started_ns, run.clock.monotonic()) == (1_234_500_000_000, 1244.5)


def test_runs_that_begin_together_get_ids_of_their_own(tmp_path: Path) -> None:
    """Whoever makes the folder has the id."""
    ids: list[str] = []
    barrier = threading.Barrier(8)

    def create() -> None:
        barrier.wait()
        ids.append(Run.create(tmp_path).id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == [f"r{n:06d}" for n in range(1, 9)]


def test_creating_a_run_keeps_no_file_open(tmp_path: Path) -> None:
    """The audit is opened by the kernel that uses it."""
    before = open_files()
    Run.create(tmp_path)
    assert open_files() == before


def test_the_standard_stack_is_a_list_one_may_change(tmp_path: Path) -> None:
    """Outermost first: audit, policy, breaker, contracts, determinism."""
    run = Run.create(tmp_path)
    names = [each.name for each in standard_stack(run)]
    assert names == ["audit", "policy", "breaker", "contracts", "determinism"]
    assert standard_stack(run) is not standard_stack(run)


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, True, "256", (1 << 28) + 1, 10**5000, -(10**5000)], ids=range(8)
)
def test_a_size_to_seal_files_at_is_a_whole_number(tmp_path: Path, value: Any) -> None:
    """Anything else is refused before a folder is made."""
    with pytest.raises(nx.KernelConfigError, match="rotate_mb must be a whole number of MiB"):
        Run.create(tmp_path / "data", audit_rotate_mb=value)
    assert not (tmp_path / "data").exists()


def test_the_log_knows_at_which_size_it_is_sealed(tmp_path: Path) -> None:
    """Also that of a run that begins as a recorded one did."""
    run = Run.create(tmp_path / "data", audit_rotate_mb=64)
    assert run.audit_log.rotate_mb == 64
    again = begun_as(run, tmp_path / "again", seed=1, started_ns=1)
    assert again.audit_log.rotate_mb == 64
    assert Run.create(tmp_path / "data").audit_log.rotate_mb is None


def test_the_log_knows_what_its_rows_survive(tmp_path: Path) -> None:
    """Rows of a run that begins as a recorded one did survive as much as those of its log."""
    run = Run.create(tmp_path / "data", audit_durability="power")
    assert run.audit_log.durability == "power"
    again = begun_as(run, tmp_path / "again", seed=1, started_ns=1)
    assert again.audit_log.durability == "power"
    assert Run.create(tmp_path / "data").audit_log.durability == "process"
