"""nxkernel: plugin isolation that is cheap enough to leave on."""

# The map.
#
# errors, types        the vocabulary: one tree of exceptions, frozen values
# _canonical, _values  canonical bytes and digests; what may cross the process boundary
# hookspecs, settings  markers and their options; what the embedder decides in code
# schemas, _seeds      JSON Schema validation; the seed tree
# _wire, _linux        frames and messages between the two processes; raw system calls
# dispatch/            one hook call without I/O: effects, stack, executor, drivers
# plugins/             what may run: manifest, lockfile, discovery, verified copies
# worker/              everything that runs in the child: zygote, runner, context, guards
# host/                the parent's side: launch, worker slots, gate, sandbox
# middleware/          audit, policy, breaker, contracts, determinism
# audit/, storage/     append-only evidence; raw-first blobs and records
# run, kernel          the composition root: build the parts, boot, call
# pipeline/            answers whose citations check out
#
# Plugin authors need the names below the first comment in _EXPORTS only, and importing them loads
# nothing of the host side: everything is imported on first use.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nxkernel import errors as errors

if TYPE_CHECKING:
    from nxkernel.hookspecs import HookimplMarker, HookspecMarker, capability
    from nxkernel.kernel import Kernel
    from nxkernel.worker.context import PluginContext

__version__ = "0.1.0.dev0"

_EXPORTS = {
    # for plugin authors and for hookspecs
    "HookimplMarker": "nxkernel.hookspecs",
    "HookspecMarker": "nxkernel.hookspecs",
    "PluginContext": "nxkernel.worker.context",
    "capability": "nxkernel.hookspecs",
    # for embedders
    "Kernel": "nxkernel.kernel",
    "Run": "nxkernel.run",
    "discover": "nxkernel.plugins.discovery",
    "standard_stack": "nxkernel.run",
    "Audit": "nxkernel.middleware.audit",
    "Breaker": "nxkernel.middleware.breaker",
    "Contracts": "nxkernel.middleware.contracts",
    "Determinism": "nxkernel.middleware.determinism",
    "PolicyGate": "nxkernel.middleware.policy",
    "Rule": "nxkernel.middleware.policy",
    "Grant": "nxkernel.settings",
    "Hosting": "nxkernel.settings",
    "Limits": "nxkernel.settings",
    "Sandbox": "nxkernel.settings",
    "SchemaIssue": "nxkernel.schemas",
    "SchemaRegistry": "nxkernel.schemas",
    # values
    "Call": "nxkernel.types",
    "CallError": "nxkernel.types",
    "Citation": "nxkernel.types",
    "Claim": "nxkernel.types",
    "Decision": "nxkernel.types",
    "HookResult": "nxkernel.types",
    "Outcome": "nxkernel.types",
}
_EXPORTS |= {name: "nxkernel.errors" for name in errors.__all__ if name not in ("error_for",)}

__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'nxkernel' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
