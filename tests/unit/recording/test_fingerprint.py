"""The fingerprint of a machine says what changes answers, and not what changes by itself."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from nxkernel.recording.fingerprint import libraries, processor

CPUINFO = """\
processor\t: 0
model name\t: Some CPU @ 2.3GHz
cpu MHz\t\t: {mhz}
flags\t\t: {flags}

processor\t: 1
"""


def test_libraries_are_named_with_their_versions() -> None:
    """In order, so that two heads of one machine are the same bytes."""
    found = libraries()
    assert found["attrs"] == metadata.version("attrs")
    assert list(found) == sorted(found)


def test_the_first_place_on_the_path_counts(tmp_path: Path) -> None:
    """As it does for an import; what is no distribution, or no folder, is passed over."""
    for name in ("a/Some_Name-1.0.dist-info", "a/notes", "b/some_name-2.0.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "old-3.0-py3.11.egg-info").touch()
    places = [str(tmp_path / name) for name in ("a", "missing", "b")]
    assert libraries(places) == {"old": "3.0", "some-name": "1.0"}


def test_processor_is_model_and_features(tmp_path: Path) -> None:
    """Neither the order of features nor the clock rate of the moment counts."""
    names = {}
    for name, mhz, flags in (("a", 1, "avx sse"), ("b", 2, "sse avx"), ("c", 1, "sse")):
        (tmp_path / name).write_text(CPUINFO.format(mhz=mhz, flags=flags))
        names[name] = processor(tmp_path / name)
    assert names["a"] == names["b"]
    assert names["a"] != names["c"]
    assert names["a"].startswith("Some CPU @ 2.3GHz, features ")


def test_a_system_without_cpuinfo_has_a_processor_too(tmp_path: Path) -> None:
    """What the platform says is better than nothing."""
    assert processor(tmp_path / "missing")
