"""Kernels over the zoo, with real workers at level `confined`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from tests.support.zoo import Zoo, patient

#: Builds a kernel over animals in a folder of its own and enters it for the rest of the test.
Opens = Callable[..., Zoo]


@pytest.fixture(scope="session")
def confinement() -> None:
    """Skip, with the reason, where the level cannot be had at all."""
    for found in (probe.landlock_abi(), probe.seccomp_available()):
        if not found.ok:
            pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")


@pytest.fixture(scope="module")
def zoo(
    confinement: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Zoo]:
    """One patient kernel for a module, over the animals that it names in ``ANIMALS``.

    Shared on purpose: every test of the module also shows that the faults of the others do not
    spread. ``OPTIONS`` of the module go to the kernel.
    """
    options = getattr(request.module, "OPTIONS", {})
    with patient(tmp_path_factory.mktemp("zoo"), *request.module.ANIMALS, **options) as kernel:
        yield Zoo(kernel)


@pytest.fixture
def open_zoo(confinement: None, tmp_path: Path) -> Iterator[Opens]:
    """Open kernels of the test's own; each is closed at its end."""
    with ExitStack() as stack:

        def opens(build: Callable[..., nx.Kernel], *animals: str, **options: Any) -> Zoo:
            kernel = build(tmp_path / "data", *animals, **options)
            return Zoo(stack.enter_context(kernel))

        yield opens
