"""The facts of a run's header: what was running, on what."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import Any

import nxkernel
from nxkernel.dispatch.stack import Middleware
from nxkernel.kernel.plant import worker_environment
from nxkernel.settings import Sandbox

__all__ = ["run_header"]


def run_header(
    sandbox: Sandbox, middleware: Sequence[Middleware], lock_digest: str | None
) -> dict[str, Any]:
    """Return what the audit puts at the head of a run."""
    return {
        "kernel": nxkernel.__version__,
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "level": sandbox.level,
        "required_level": sandbox.require,
        "stack": [each.name for each in middleware],
        "lock_digest": lock_digest,
        "environment": worker_environment(),
    }
