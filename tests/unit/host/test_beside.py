"""The neighbours of a database."""

from __future__ import annotations

from pathlib import Path

from nxkernel.host.beside import with_neighbours


def test_what_is_there_comes_with_the_database(tmp_path: Path) -> None:
    """Files alone: neither links nor what is not there."""
    for name in ("x.db", "x.db-wal", "x.db-other"):
        (tmp_path / name).write_text("")
    (tmp_path / "x.db-shm").symlink_to(tmp_path / "x.db-other")
    database = str(tmp_path / "x.db")
    assert with_neighbours([database]) == (database, f"{database}-wal")
    assert with_neighbours([database], of=[database]) == (database, f"{database}-wal")
    assert with_neighbours([database], of=[]) == (database,)


def test_other_paths_stay_alone(tmp_path: Path) -> None:
    """A folder has no neighbours, nor has what does not exist, nor a link."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder-wal")
    for name in ("folder", "link", "absent"):
        (tmp_path / f"{name}-wal").write_text("")
        assert with_neighbours([str(tmp_path / name)]) == (str(tmp_path / name),)
