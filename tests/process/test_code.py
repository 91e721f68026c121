"""The bytes that were hashed are the bytes that run."""

from __future__ import annotations

from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.support.zoo import Zoo, build, copies

pytestmark = pytest.mark.usefixtures("confinement")


def test_file_that_changes_after_the_check_does_not_run(tmp_path: Path) -> None:
    """A worker that starts after the folder was changed imports what was there at boot."""
    (folder,) = copies(tmp_path / "plugins", "raises", ["raises"])
    with build(tmp_path / "data", folders=[folder]):
        pass  # learns what the plugin implements, so that its worker starts late the next time
    with build(tmp_path / "data", folders=[folder]) as kernel:
        assert kernel.health()["raises"].state == "stopped"
        (folder / "plugin.py").write_text("raise SystemExit('swapped')")
        assert Zoo(kernel).answers("raises")


def test_copy_that_was_changed_does_not_run(tmp_path: Path) -> None:
    """The cache of verified copies is checked whole before each use."""
    with build(tmp_path, "raises"):
        pass
    (copy,) = (tmp_path / "cache" / "code").glob("*/plugin.py")
    copy.chmod(0o600)
    copy.write_text("raise SystemExit('swapped')")
    with build(tmp_path, "raises") as kernel:
        assert Zoo(kernel).answers("raises")


def test_compiled_file_beside_the_code_does_not_run(tmp_path: Path) -> None:
    """A planted __pycache__ is not copied, so nothing that was not hashed is imported."""
    (folder,) = copies(tmp_path / "plugins", "raises", ["raises"])
    planted = Path(cache_from_source(str(folder / "plugin.py")))
    planted.parent.mkdir()
    planted.write_bytes(b"planted")
    with build(tmp_path / "data", folders=[folder]) as kernel:
        assert Zoo(kernel).answers("raises")
    assert not list((tmp_path / "data" / "cache" / "code").rglob("*.pyc"))
