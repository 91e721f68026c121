"""What has changed since a recording is named, one thing at a time."""

from __future__ import annotations

import attrs

from nxkernel.dispatch.stack import PluginFacts
from nxkernel.recording.records import Head, PluginRecord
from nxkernel.replay.circumstances import of_plugin, of_run
from tests.support.calls import a_plugin

HEAD = Head(
    run_id="r1",
    seed=7,
    started_ns=1,
    environment={"python": "3.11.7", "level": "confined", "stack": ["audit"]},
    processor="one",
    libraries={"attrs": "26.1.0", "numpy": "2.4.6"},
)


def test_nothing_has_changed() -> None:
    """Another stack is no circumstance: what is compared is what the plugin gave."""
    now = {**HEAD.environment, "stack": ["replay"]}
    assert of_run(HEAD, attrs.evolve(HEAD, environment=now)) == ()


def test_what_concerns_all_plugins() -> None:
    """Python, the processor, and each library that is new, gone, or another version."""
    now = Head(
        run_id="r2",
        seed=8,
        started_ns=2,
        environment={**HEAD.environment, "python": "3.13.0"},
        processor="another",
        libraries={"attrs": "27.0.0", "scipy": "1.17.1"},
    )
    found = of_run(HEAD, now)
    assert [str(each) for each in found] == [
        "python: 3.11.7 then, 3.13.0 now",
        "processor: one then, another now",
        "library attrs: 26.1.0 then, 27.0.0 now",
        "library numpy: 2.4.6 then, nothing now",
        "library scipy: nothing then, 1.17.1 now",
    ]


def test_what_concerns_one_plugin() -> None:
    """Code, version, settings and level, each with its name."""
    now: PluginFacts = a_plugin("p")
    then = PluginRecord(
        id="p",
        edition=1,
        version=now.version,
        code_digest=now.code_digest,
        settings_digest=now.settings.digest,
        level=now.level,
    )
    assert of_plugin(then, now) == ()
    changed = attrs.evolve(now, version="2.0", level="isolated")
    assert [str(each) for each in of_plugin(then, changed)] == [
        "version of p: 1.0 then, 2.0 now",
        "level of p: confined then, isolated now",
    ]
