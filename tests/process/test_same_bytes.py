"""The same input gives the same bytes, whatever the host's environment and the order of calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nxkernel.testing import FakeClock
from tests.support import zoo

_SCRIPT = """
import json, sys
from pathlib import Path
from nxkernel.testing import FakeClock
from tests.support import zoo
# The run's start is an input like any other: plugins may ask for it.
with zoo.build(Path(sys.argv[1]), "draws", "plain.a", seed="one", clock=FakeClock()) as kernel:
    for number in range(3):
        kernel.hook.echo(value={"b": number, "a": [number]})
        kernel.hook.act(value=number)
    run = kernel.run
print(json.dumps([[c.plugin, c.hook, c.input_digest, c.output_digest, c.seed]
                  for c in zoo.recorded(run)]))
"""


def digests(data: Path, **environment: str) -> list[list[str]]:
    """Run the same calls in a host of their own and return what the audit has of them."""
    inherited = {k: v for k, v in os.environ.items() if k not in environment}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(data)],
        env={**inherited, **environment},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    recorded: list[list[str]] = json.loads(done.stdout)
    return recorded


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4242", "TZ": "America/Denver"},
        {"LC_ALL": "C", "TMPDIR": "/tmp", "HOME": "/", "OMP_NUM_THREADS": "7"},
    ],
    ids=["hash-seed", "hash-seed-and-zone", "locale-home-threads"],
)
def test_another_host_gives_the_same_digests(tmp_path: Path, environment: dict[str, str]) -> None:
    """Neither hash seed, time zone, locale, home nor data directory reaches seeds or results."""
    plain = digests(tmp_path / "plain", PYTHONHASHSEED="0", TZ="UTC")
    varied = digests(tmp_path / "deeper" / "varied", **environment)
    assert varied == plain
    assert all(output for *_, output, _ in plain)


def test_the_order_of_threads_reaches_no_result(tmp_path: Path) -> None:
    """Calls from many threads give, call by call, what they give one after the other."""
    with zoo.build(tmp_path / "one", "draws", clock=FakeClock()) as kernel:
        alone = {n: kernel.hook.act(value=n) for n in range(12)}
    together: dict[int, object] = {}
    with zoo.build(tmp_path / "many", "draws", clock=FakeClock()) as kernel:

        def ask(first: int) -> None:
            for number in range(first, 12, 4):
                together[number] = kernel.hook.act(value=number)

        threads = [threading.Thread(target=ask, args=(n,)) for n in (3, 1, 0, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert together == alone


def test_equal_calls_of_the_application_are_equal(tmp_path: Path) -> None:
    """A call's seed comes from what it is, not from how many came before it; a key changes it."""
    with zoo.build(tmp_path, "draws") as kernel:
        first, again = kernel.hook.act(value=1), kernel.hook.act(value=1)
        keyed = kernel.options(key="doc-17").hook.act(value=1)
    assert first == again
    assert keyed != first
