"""Every public exception, and the table of stable error codes.

Messages are byte-identical for the same cause: they hold no pid, address, time or temporary path.
Everything that varies goes to ``details``.
"""

from nxkernel.errors.codes import ERROR_CODES, ErrorCode, error_for
from nxkernel.errors.exceptions import (
    AuditError,
    BreakerOpen,
    CallRejected,
    ContractViolated,
    DeterminismError,
    EnvironmentUnavailable,
    HookFailed,
    IntegrityError,
    KernelConfigError,
    KernelNotRunning,
    LockMismatch,
    ManifestInvalid,
    NxError,
    PermissionNotGranted,
    PluginDisabled,
    PluginFailed,
    PolicyDenied,
    ProtocolViolation,
    ReplayError,
    SandboxUnavailable,
    SchemaInvalid,
    SettingsInvalid,
    StorageError,
    WorkerLost,
)

__all__ = [
    "ERROR_CODES",
    "AuditError",
    "BreakerOpen",
    "CallRejected",
    "ContractViolated",
    "DeterminismError",
    "EnvironmentUnavailable",
    "ErrorCode",
    "HookFailed",
    "IntegrityError",
    "KernelConfigError",
    "KernelNotRunning",
    "LockMismatch",
    "ManifestInvalid",
    "NxError",
    "PermissionNotGranted",
    "PluginDisabled",
    "PluginFailed",
    "PolicyDenied",
    "ProtocolViolation",
    "ReplayError",
    "SandboxUnavailable",
    "SchemaInvalid",
    "SettingsInvalid",
    "StorageError",
    "WorkerLost",
    "error_for",
]

# A traceback names an exception by where an application imports it from.
for _name in __all__:
    if isinstance(_public := globals()[_name], type):
        _public.__module__ = __name__
