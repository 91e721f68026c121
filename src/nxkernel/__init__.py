"""nxkernel: plugin isolation that is cheap enough to leave on."""

# The map.
#
# errors, types        the vocabulary: one tree of exceptions, frozen values
# _canonical, _values  canonical bytes and digests; what may cross the process boundary
# hookspecs, settings  markers and their options; what the embedder decides in code
# surroundings         what surrounds a worker, where it is other than usual
# schemas, _seeds      JSON Schema validation; the seed tree
# _wire, _linux        frames and messages between the two processes; raw system calls
# _trail, _remote      an exception of a plugin as data; as the text of a traceback
# _pickling            what pickle and copy make of the public face
# _system/             how each operating system waits and wakes
# dispatch/            one hook call without I/O: effects, stack, executor, drivers
# plugins/             what may run: manifest, lockfile, discovery, verified copies
# worker/              everything that runs in the child: zygote, runner, context, guards
# host/                the parent's side: launch, worker slots, gate, sandbox
# middleware/          audit, policy, breaker, contracts, determinism, tracing
# audit/, storage/     append-only evidence; raw-first blobs and records
# recording/           what crossed in each call of a run, to be replayed
# run, kernel          the composition root: build the parts, boot, call
# replay/              recorded calls made again, and their bytes compared
# variation/           what results depend on: conditions, search, examples of plugins
# pipeline/            answers whose citations check out
#
# Plugin authors need the names below the first comment in _EXPORTS only, and importing them loads
# nothing of the host side: everything is imported on first use.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nxkernel import errors as errors

if TYPE_CHECKING:
    from nxkernel._blob import Blob as Blob
    from nxkernel.audit.anchor import Anchor as Anchor
    from nxkernel.audit.filters import CallFilter as CallFilter
    from nxkernel.audit.whole import AuditReader as AuditReader
    from nxkernel.errors import ERROR_CODES as ERROR_CODES
    from nxkernel.errors import AuditError as AuditError
    from nxkernel.errors import BreakerOpen as BreakerOpen
    from nxkernel.errors import CallRejected as CallRejected
    from nxkernel.errors import ContractViolated as ContractViolated
    from nxkernel.errors import DeterminismError as DeterminismError
    from nxkernel.errors import EnvironmentUnavailable as EnvironmentUnavailable
    from nxkernel.errors import ErrorCode as ErrorCode
    from nxkernel.errors import HookFailed as HookFailed
    from nxkernel.errors import IntegrityError as IntegrityError
    from nxkernel.errors import KernelConfigError as KernelConfigError
    from nxkernel.errors import KernelNotRunning as KernelNotRunning
    from nxkernel.errors import LockMismatch as LockMismatch
    from nxkernel.errors import ManifestInvalid as ManifestInvalid
    from nxkernel.errors import NxError as NxError
    from nxkernel.errors import PermissionNotGranted as PermissionNotGranted
    from nxkernel.errors import PluginDisabled as PluginDisabled
    from nxkernel.errors import PluginFailed as PluginFailed
    from nxkernel.errors import PolicyDenied as PolicyDenied
    from nxkernel.errors import ProtocolViolation as ProtocolViolation
    from nxkernel.errors import ReplayError as ReplayError
    from nxkernel.errors import SandboxUnavailable as SandboxUnavailable
    from nxkernel.errors import SchemaInvalid as SchemaInvalid
    from nxkernel.errors import SettingsInvalid as SettingsInvalid
    from nxkernel.errors import StorageError as StorageError
    from nxkernel.errors import WorkerLost as WorkerLost
    from nxkernel.hookspecs import HookimplMarker as HookimplMarker
    from nxkernel.hookspecs import HookspecMarker as HookspecMarker
    from nxkernel.hookspecs import capability as capability
    from nxkernel.kernel import Kernel as Kernel
    from nxkernel.kernel.probe import ProbeReport as ProbeReport
    from nxkernel.kernel.probe import probe as probe
    from nxkernel.kernel.streams import Stream as Stream
    from nxkernel.middleware.audit import Audit as Audit
    from nxkernel.middleware.breaker import Breaker as Breaker
    from nxkernel.middleware.contracts import Contracts as Contracts
    from nxkernel.middleware.determinism import Determinism as Determinism
    from nxkernel.middleware.policy import PolicyGate as PolicyGate
    from nxkernel.middleware.policy import Rule as Rule
    from nxkernel.middleware.tracing import Tracing as Tracing
    from nxkernel.plugins.discovery import discover as discover
    from nxkernel.plugins.layers import Settings as Settings
    from nxkernel.recording import Recording as Recording
    from nxkernel.run import Run as Run
    from nxkernel.run import standard_stack as standard_stack
    from nxkernel.schemas import SchemaIssue as SchemaIssue
    from nxkernel.schemas import SchemaRegistry as SchemaRegistry
    from nxkernel.settings import Grant as Grant
    from nxkernel.settings import Hosting as Hosting
    from nxkernel.settings import Limits as Limits
    from nxkernel.settings import PluginSettings as PluginSettings
    from nxkernel.settings import Sandbox as Sandbox
    from nxkernel.settings import Setting as Setting
    from nxkernel.surroundings import Surroundings as Surroundings
    from nxkernel.types import Call as Call
    from nxkernel.types import CallError as CallError
    from nxkernel.types import Citation as Citation
    from nxkernel.types import Claim as Claim
    from nxkernel.types import Decision as Decision
    from nxkernel.types import Diagnostic as Diagnostic
    from nxkernel.types import HookResult as HookResult
    from nxkernel.types import Outcome as Outcome
    from nxkernel.worker.context import PluginContext as PluginContext

__version__ = "0.1.0.dev0"

_EXPORTS = {
    # for plugin authors and for hookspecs
    "Blob": "nxkernel._blob",
    "HookimplMarker": "nxkernel.hookspecs",
    "HookspecMarker": "nxkernel.hookspecs",
    "PluginContext": "nxkernel.worker.context",
    "capability": "nxkernel.hookspecs",
    # for embedders
    "Kernel": "nxkernel.kernel",
    "Run": "nxkernel.run",
    "ProbeReport": "nxkernel.kernel.probe",
    "discover": "nxkernel.plugins.discovery",
    "probe": "nxkernel.kernel.probe",
    "standard_stack": "nxkernel.run",
    "Anchor": "nxkernel.audit.anchor",
    "Audit": "nxkernel.middleware.audit",
    "AuditReader": "nxkernel.audit.whole",
    "Breaker": "nxkernel.middleware.breaker",
    "Contracts": "nxkernel.middleware.contracts",
    "Determinism": "nxkernel.middleware.determinism",
    "PolicyGate": "nxkernel.middleware.policy",
    "Recording": "nxkernel.recording",
    "Rule": "nxkernel.middleware.policy",
    "Tracing": "nxkernel.middleware.tracing",
    "Grant": "nxkernel.settings",
    "Hosting": "nxkernel.settings",
    "Limits": "nxkernel.settings",
    "Sandbox": "nxkernel.settings",
    "Settings": "nxkernel.plugins.layers",
    "Surroundings": "nxkernel.surroundings",
    "SchemaIssue": "nxkernel.schemas",
    "SchemaRegistry": "nxkernel.schemas",
    # values
    "Call": "nxkernel.types",
    "CallFilter": "nxkernel.audit.filters",
    "CallError": "nxkernel.types",
    "Citation": "nxkernel.types",
    "Claim": "nxkernel.types",
    "Decision": "nxkernel.types",
    "Diagnostic": "nxkernel.types",
    "HookResult": "nxkernel.types",
    "Outcome": "nxkernel.types",
    "PluginSettings": "nxkernel.settings",
    "Setting": "nxkernel.settings",
    "Stream": "nxkernel.kernel.streams",
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
