"""Products of matrices in mode strict: as the pinned code of OpenBLAS makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nxkernel as nx
from nxkernel.kernel.vectors import pinned
from tests.support import zoo
from tests.support.sources import PREVENTED, Source

_PRODUCT = """
import hashlib, numpy

def product():
    a = numpy.random.default_rng(1).standard_normal((300, 300))
    return hashlib.sha256((a @ a).tobytes()).hexdigest()
"""


def outside(environment: dict[str, str]) -> str:
    """The same product in a process of its own, whatever the machine's environment asks for."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    variables = {**inherited, "OPENBLAS_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", f"{_PRODUCT}\nprint(product())"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def inside(place: Path, mode: str) -> str:
    """What a plugin gets in that mode."""
    body = f"{_PRODUCT}\n@hookimpl\ndef act(value):\n    return product()\n"
    folder = Source(name="product", fate=PREVENTED, body=body).write(place / "plugins")
    run = nx.Run.create(place / "data", seed=7)
    with nx.Kernel(
        "zoo",
        specs=[zoo.Hooks],
        run=run,
        plugins=nx.discover(folder),
        middleware=[nx.Determinism(guard=mode)],  # type: ignore[arg-type]
    ) as kernel:
        (found,) = kernel.options(timeout=zoo.PATIENCE_S).hook.act(value=1)
    return str(found)


def test_strict_has_the_bits_of_the_pinned_code(tmp_path: Path) -> None:
    """Whatever this processor could do beside; in mode warn OpenBLAS chooses as it does outside."""
    assert inside(tmp_path / "strict", "strict") == outside(pinned())
    assert inside(tmp_path / "warn", "warn") == outside({})
