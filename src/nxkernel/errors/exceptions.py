"""Every public exception, in one tree.

Families, in the order of the tree:

* the embedder's mistakes: ``KernelConfigError``, ``KernelNotRunning``, ``CallRejected``
* a plugin that may not run: ``PluginDisabled`` and its causes (manifest, settings, lock, grant)
* a call that failed: ``PluginFailed`` and the more specific outcomes of a call
* a guarantee that cannot be had: ``SandboxUnavailable``, ``AuditError``, ``IntegrityError``
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from nxkernel._remote import RemoteTraceback

if TYPE_CHECKING:
    from nxkernel.types import HookResult

__all__ = [
    "AuditError",
    "BreakerOpen",
    "CallRejected",
    "ContractViolated",
    "DeterminismError",
    "EnvironmentUnavailable",
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
]


class NxError(Exception):
    """The root of every error that nxkernel raises.

    Attributes:
        code: stable identifier; documented in ``docs/reference/errors.md``.
        plugin, hook: whom it concerns, or ``""``.
        details: facts for programs; never needed to understand the message.
    """

    default_code: ClassVar[str] = "nxkernel.error"
    #: Process exit code of the command line for this family.
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        plugin: str = "",
        hook: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.plugin = plugin
        self.hook = hook
        self.details: Mapping[str, Any] = dict(details or {})

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Without a call of ``__init__``, which takes more than the ``args`` of an exception. A rule
        # of Python's leaves causes behind; ours are data, and say what happened in the plugin.
        state = dict(self.__dict__)
        if isinstance(self.__cause__, NxError | RemoteTraceback):
            state["__cause__"] = self.__cause__
        return copyreg.__newobj__, (type(self), *self.args), state  # type: ignore[attr-defined]


class KernelConfigError(NxError):
    """The embedder composed a kernel that cannot work."""

    default_code = "kernel.config"
    exit_code = 2


class KernelNotRunning(NxError):
    """A call came before ``with kernel:`` or after it."""

    default_code = "kernel.not_running"


class CallRejected(NxError):
    """An argument cannot cross the process boundary, or names are wrong."""

    default_code = "call.rejected"


class PluginDisabled(NxError):
    """This plugin does not run; the message says why and what to do."""

    default_code = "plugin.disabled"


class ManifestInvalid(PluginDisabled):
    """The manifest does not satisfy ``contracts/plugin_manifest.schema.json``."""

    default_code = "manifest.invalid"


class SettingsInvalid(PluginDisabled):
    """The plugin's settings do not satisfy its settings schema."""

    default_code = "settings.invalid"


class PermissionNotGranted(PluginDisabled):
    """The manifest asks for more than the application granted."""

    default_code = "permission.not_granted"
    exit_code = 3


class LockMismatch(PluginDisabled):
    """A plugin's files differ from what the lockfile records."""

    default_code = "lock.mismatch"
    exit_code = 4


class EnvironmentUnavailable(PluginDisabled):
    """A plugin's own interpreter or libraries are not there as they were installed."""

    default_code = "environment.missing"


class PluginFailed(NxError):
    """A plugin's call failed; raised by ``unwrap()`` alone."""

    default_code = "plugin.raised"


class WorkerLost(PluginFailed):
    """The worker ended, or was ended, before it answered."""

    default_code = "plugin.crashed"


class ContractViolated(PluginFailed):
    """A value did not satisfy its contract."""

    default_code = "contract.output"


class DeterminismError(PluginFailed):
    """The plugin drew from something that no seed covers; the guard's mode is strict."""

    default_code = "determinism.blocked"


class BreakerOpen(PluginFailed):
    """The breaker refuses calls to this plugin for now."""

    default_code = "breaker.open"


class PolicyDenied(PluginFailed):
    """A policy rule, or the lack of one, refused the call."""

    default_code = "policy.denied"
    exit_code = 3


class HookFailed(NxError):
    """A hook has no value, because the provider that mattered failed."""

    default_code = "hook.failed"

    def __init__(self, message: str, *, result: HookResult, hook: str = "") -> None:
        super().__init__(message, hook=hook)
        #: The whole result, with one outcome for each provider that was asked.
        self.result = result


class SandboxUnavailable(NxError):
    """The demanded sandbox level cannot be had on this machine."""

    default_code = "sandbox.unavailable"
    exit_code = 5


class ProtocolViolation(NxError):
    """The other end of the wire sent something that the protocol forbids."""

    default_code = "protocol.violation"


class SchemaInvalid(NxError):
    """A JSON Schema is malformed or outside the accepted profile."""

    default_code = "schema.invalid"


class AuditError(NxError):
    """The audit log could not be written or read."""

    default_code = "audit.failed"


class IntegrityError(NxError):
    """Recorded evidence does not add up: edited, missing, reordered or cut off."""

    default_code = "audit.tampered"
    exit_code = 4


class ReplayError(NxError):
    """Recorded calls cannot be made again, or the record has no answer."""

    default_code = "replay.unknown_call"


class StorageError(NxError):
    """A blob or record could not be stored or read back as it was."""

    default_code = "storage.failed"
