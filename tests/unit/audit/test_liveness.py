"""A run is alive while its kernel holds the claim."""

from __future__ import annotations

from pathlib import Path

from nxkernel.audit.liveness import Claim, alive


def test_a_run_is_alive_until_it_is_released(tmp_path: Path) -> None:
    """The claim is seen from the first moment on, and leaves nothing behind."""
    log = tmp_path / "audit.db"
    assert not alive(log, "run-1", 5)
    claim = Claim(log, "run-1", 5)
    assert alive(log, "run-1", 5)
    assert alive(log, "run-1", 5)
    claim.release()
    assert not alive(log, "run-1", 5)
    assert list((tmp_path / "alive").iterdir()) == []


def test_runs_are_told_apart(tmp_path: Path) -> None:
    """A later run of the same name does not bring an earlier one back to life."""
    log = tmp_path / "audit.db"
    claim = Claim(log, "run-1", 5)
    assert not alive(log, "run-1", 6)
    assert not alive(log, "run-2", 5)
    claim.release()


def test_a_claim_is_released_once(tmp_path: Path) -> None:
    """Releasing again does nothing."""
    claim = Claim(tmp_path / "audit.db", "run-1", 5)
    claim.release()
    claim.release()
    assert not alive(tmp_path / "audit.db", "run-1", 5)


def test_a_file_without_a_lock_is_a_dead_run(tmp_path: Path) -> None:
    """What a killed kernel leaves behind is a file that nobody holds."""
    log = tmp_path / "audit.db"
    claim = Claim(log, "run-1", 5)
    (lock,) = (tmp_path / "alive").iterdir()
    claim.release()
    lock.touch()
    assert not alive(log, "run-1", 5)


def test_any_name_of_a_run_has_a_file(tmp_path: Path) -> None:
    """A run's name is not used as a path."""
    log = tmp_path / "audit.db"
    claim = Claim(log, "../../x\udcff", 5)
    assert alive(log, "../../x\udcff", 5)
    assert [path.parent for path in (tmp_path / "alive").iterdir()] == [tmp_path / "alive"]
    claim.release()


def test_claims_of_the_dead_are_removed_by_the_next(tmp_path: Path) -> None:
    """Those of the living stay: their locks are held."""
    log = tmp_path / "audit" / "audit.db"
    living = Claim(log, "living", 1)
    dead = Claim(log, "dead", 2)
    dead.abandon()  # as the end of its process does
    assert len(list((log.parent / "alive").iterdir())) == 2
    new = Claim(log, "new", 3)
    assert len(list((log.parent / "alive").iterdir())) == 2
    assert alive(log, "living", 1)
    assert alive(log, "new", 3)
    assert not alive(log, "dead", 2)
    living.release()
    new.release()
