"""Every public exception, in one tree, and the table of stable error codes.

Families, in the order of the tree:

* the embedder's mistakes: ``KernelConfigError``, ``KernelNotRunning``, ``CallRejected``
* a plugin that may not run: ``PluginDisabled`` and its causes (manifest, settings, lock, grant)
* a call that failed: ``PluginFailed`` and the more specific outcomes of a call
* a guarantee that cannot be had: ``SandboxUnavailable``, ``AuditError``, ``IntegrityError``

Messages are byte-identical for the same cause: they hold no pid, address, time or temporary path.
Everything that varies goes to ``details``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

if TYPE_CHECKING:
    from nxkernel.types import HookResult

__all__ = [
    "ERROR_CODES",
    "AuditError",
    "BreakerOpen",
    "CallRejected",
    "ContractViolated",
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
    "SandboxUnavailable",
    "SchemaInvalid",
    "SettingsInvalid",
    "StorageError",
    "WorkerLost",
    "error_for",
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


class KernelConfigError(NxError):
    """The embedder composed a kernel that cannot work."""

    default_code = "kernel.config"
    exit_code = 2


class KernelNotRunning(NxError):
    """A call came before ``with kernel:``, after it, or in a forked child."""

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


class PluginFailed(NxError):
    """A plugin's call failed; raised by ``unwrap()`` alone."""

    default_code = "plugin.raised"


class WorkerLost(PluginFailed):
    """The worker ended, or was ended, before it answered."""

    default_code = "plugin.crashed"


class ContractViolated(PluginFailed):
    """A value did not satisfy its contract."""

    default_code = "contract.output"


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


class StorageError(NxError):
    """A blob or record could not be stored or read back as it was."""

    default_code = "storage.failed"


@attrs.frozen
class ErrorCode:
    """One row of the table of stable codes."""

    #: The code itself, ``family.cause``.
    code: str
    #: What happened, in one sentence.
    meaning: str
    #: What to do next, in one sentence.
    next_step: str
    #: The exception that carries it.
    raises: type[NxError]


def _table(*rows: ErrorCode) -> dict[str, ErrorCode]:
    return {row.code: row for row in rows}


#: Every stable code. A code is never reused for something else.
ERROR_CODES: Mapping[str, ErrorCode] = _table(
    ErrorCode(
        "kernel.config",
        "The kernel was composed in a way that cannot work.",
        "Change the argument that the message names.",
        KernelConfigError,
    ),
    ErrorCode(
        "kernel.not_running",
        "The kernel is not entered, already closed, or belongs to another process.",
        "Make the call inside `with kernel:`; after a fork, build a kernel in the child.",
        KernelNotRunning,
    ),
    ErrorCode(
        "call.rejected",
        "An argument cannot cross the process boundary.",
        "Pass a value of the kinds in the table of values, or annotate the hookspec.",
        CallRejected,
    ),
    ErrorCode(
        "call.unknown_hook",
        "No hookspec of this name exists.",
        "Use one of the names that the message lists.",
        CallRejected,
    ),
    ErrorCode(
        "call.cancelled",
        "The caller went away before the answer came.",
        "Nothing, if it was meant; the worker was replaced.",
        PluginFailed,
    ),
    ErrorCode(
        "call.depth",
        "Brokered calls nested deeper than the limit.",
        "Break the cycle of plugins, or raise `Hosting(max_depth=)`.",
        PluginFailed,
    ),
    ErrorCode(
        "call.expired",
        "The deadline had passed before the call reached its worker.",
        "Give the outer call more time, or use fewer nested calls.",
        PluginFailed,
    ),
    ErrorCode(
        "hook.failed",
        "The hook has no value, because a provider that matters failed.",
        "Look at the outcomes in `error.result`.",
        HookFailed,
    ),
    ErrorCode(
        "plugin.disabled",
        "The plugin was disabled at boot.",
        "Mend the cause that the message names.",
        PluginDisabled,
    ),
    ErrorCode(
        "plugin.raised",
        "The plugin's code raised an exception.",
        "Read the exception in the message and the frames in the details.",
        PluginFailed,
    ),
    ErrorCode(
        "plugin.crashed",
        "The worker process ended in the middle of a call.",
        "Read the exit status and the last lines of its log in the details.",
        WorkerLost,
    ),
    ErrorCode(
        "plugin.timeout",
        "The plugin overran its deadline; its worker was killed and is replaced.",
        "Raise the timeout of hook, manifest or call, or make the plugin faster.",
        WorkerLost,
    ),
    ErrorCode(
        "plugin.start",
        "The plugin could not be imported or constructed in its worker.",
        "Read the exception in the message; try `nxkernel plugins check --probe DIR`.",
        PluginDisabled,
    ),
    ErrorCode(
        "plugin.handshake",
        "The plugin offers other hooks than its manifest says.",
        "Make `hooks` in the manifest agree with the code; see `nxkernel plugins check --probe`.",
        PluginDisabled,
    ),
    ErrorCode(
        "plugin.quarantined",
        "The worker died too often; it is not started again for now.",
        "Read the log and the exit status; it is tried again after the period.",
        WorkerLost,
    ),
    ErrorCode(
        "protocol.violation",
        "A worker sent bytes that the protocol forbids, and was ended.",
        "Treat the plugin as hostile or broken.",
        ProtocolViolation,
    ),
    ErrorCode(
        "manifest.invalid",
        "A manifest is missing, malformed or names unknown keys.",
        "Correct the file and key that the message names.",
        ManifestInvalid,
    ),
    ErrorCode(
        "settings.invalid",
        "A plugin's settings do not satisfy its settings schema.",
        "Correct the setting that the message names.",
        SettingsInvalid,
    ),
    ErrorCode(
        "permission.not_granted",
        "The manifest asks for a permission that the application did not grant.",
        "Grant it in code or in the lockfile, or remove it from the manifest.",
        PermissionNotGranted,
    ),
    ErrorCode(
        "lock.mismatch",
        "A plugin's files differ from the lockfile.",
        "Review the change, then run the command that the message gives.",
        LockMismatch,
    ),
    ErrorCode(
        "lock.invalid",
        "The lockfile is missing or cannot be read.",
        "Write it with `nxkernel plugins lock DIR`.",
        LockMismatch,
    ),
    ErrorCode(
        "policy.denied",
        "A brokered call was not requested by the manifest or not granted.",
        "Add it to `requires` in the manifest; grant it by `Grant(calls=)`, rule or lockfile.",
        PolicyDenied,
    ),
    ErrorCode(
        "breaker.open",
        "The plugin failed too often; its breaker refuses calls for now.",
        "Wait for the reset, or look at the failures before it.",
        BreakerOpen,
    ),
    ErrorCode(
        "contract.input",
        "The arguments do not satisfy the hook's contract.",
        "Correct the argument at the JSON path in the message.",
        ContractViolated,
    ),
    ErrorCode(
        "contract.output",
        "The plugin returned a value that its contract forbids or that cannot cross.",
        "Correct the plugin; the message names the JSON path.",
        ContractViolated,
    ),
    ErrorCode(
        "provider.not_applicable",
        "The arguments are outside what this plugin's own contract accepts.",
        "Nothing; another provider may answer.",
        ContractViolated,
    ),
    ErrorCode(
        "schema.invalid",
        "A JSON Schema is malformed or outside the accepted profile.",
        "Correct the schema at the place that the message names.",
        SchemaInvalid,
    ),
    ErrorCode(
        "middleware.failed",
        "A middleware raised, or did not yield exactly once.",
        "Correct the middleware that the message names.",
        KernelConfigError,
    ),
    ErrorCode(
        "sandbox.unavailable",
        "The demanded sandbox level cannot be had here.",
        "Run `nxkernel doctor`; lower `Sandbox(require=)` only if you accept the loss.",
        SandboxUnavailable,
    ),
    ErrorCode(
        "audit.failed",
        "The audit log could not be written or read.",
        "Check the path, the disk and the file's owner.",
        AuditError,
    ),
    ErrorCode(
        "audit.tampered",
        "The audit log was edited, cut off, reordered or forged.",
        "Keep the file as evidence; compare with a checkpoint kept elsewhere.",
        IntegrityError,
    ),
    ErrorCode(
        "storage.failed",
        "A blob or record could not be stored, or its bytes do not match their name.",
        "Check the disk; run the command again.",
        StorageError,
    ),
    ErrorCode(
        "citation.invalid",
        "A claim's citation does not check out, so the claim was removed.",
        "Correct the plugin that answers; the reason is beside the claim.",
        ContractViolated,
    ),
)


def error_for(
    code: str,
    message: str,
    *,
    plugin: str = "",
    hook: str = "",
    details: Mapping[str, Any] | None = None,
) -> NxError:
    """Return the exception that carries *code*.

    A code that is not in the table becomes a plain ``NxError``.
    """
    row = ERROR_CODES.get(code)
    cls = row.raises if row else NxError
    if issubclass(cls, HookFailed):
        cls = NxError
    return cls(message, code=code, plugin=plugin, hook=hook, details=details)
