"""The table of stable error codes: what each means, what to do next, which exception carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

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

__all__ = ["ERROR_CODES", "ErrorCode", "error_for"]


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
        "The kernel is not entered or already closed.",
        "Make the call inside `with kernel:`.",
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
        "call.reentrant",
        "A handler of a signal, or a finalizer, called in the middle of a step of its own thread.",
        "Set a flag there, and call outside of it.",
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
        "Read the exit status and the last lines of its log in the details; with fault `host`, "
        "look at the call that `lost_by` there names: it took the worker down.",
        WorkerLost,
    ),
    ErrorCode(
        "plugin.limit",
        "The plugin exceeded a limit: memory, processor time, written files or size of an answer.",
        "Make it use less, or set a larger value below `[limits]` in its manifest.",
        PluginFailed,
    ),
    ErrorCode(
        "determinism.blocked",
        "The plugin asked for something that differs from run to run, and the guard is strict.",
        "Write what the message says: the context has a seeded source for each kind.",
        DeterminismError,
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
        "plugin.inproc",
        "The plugin may not run in the host's process.",
        "Take it from `Hosting(inproc_allowlist=)`; it then runs in a worker, with its grants.",
        PluginDisabled,
    ),
    ErrorCode(
        "plugin.handshake",
        "The plugin offers other hooks than its manifest says.",
        "Make `hooks` in the manifest agree with the code; see `nxkernel plugins check --probe`.",
        PluginDisabled,
    ),
    ErrorCode(
        "plugin.backoff",
        "The worker died repeatedly; it is started again after this call's deadline.",
        "Read its last exit in `kernel.health()`; call later, or give the call more time.",
        WorkerLost,
    ),
    ErrorCode(
        "plugin.quarantined",
        "The worker died too often; it is not started again for now.",
        "Read its last exit in `kernel.health()`, mend it, then `nxkernel plugins release ID`.",
        WorkerLost,
    ),
    ErrorCode(
        "plugin.retired",
        "The plugin was reloaded or removed before this call of the old one was answered.",
        "Make the call again; `Hosting(drain_s=)` is how long such calls are waited for.",
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
        "manifest.examples",
        "An example beside a manifest cannot be read, or is none.",
        "Correct the file that the message names.",
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
        "environment.missing",
        "The plugin asks for an environment of its own, and none was installed.",
        "Run the command in the message; nothing is built or downloaded at run time.",
        EnvironmentUnavailable,
    ),
    ErrorCode(
        "environment.changed",
        "The plugin's environment is not what was installed.",
        "Find out who changed it, then run the command in the message.",
        EnvironmentUnavailable,
    ),
    ErrorCode(
        "environment.interpreter",
        "The interpreter that the plugin asks for was not found, or does not start.",
        "Install it, or name one with `nxkernel plugins install --python`.",
        EnvironmentUnavailable,
    ),
    ErrorCode(
        "environment.index",
        "The package index could not be reached.",
        "Check the network, and the index that pip or uv is configured for.",
        EnvironmentUnavailable,
    ),
    ErrorCode(
        "environment.unresolved",
        "No set of wheels satisfies the requirements.",
        "Change the requirement that the message names; `--allow-build` builds from source.",
        EnvironmentUnavailable,
    ),
    ErrorCode(
        "environment.build",
        "The environment could not be built.",
        "Read what the installer said in the details.",
        EnvironmentUnavailable,
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
        "recording.failed",
        "A call could not be recorded.",
        "Check the disk; take `nx.Recording` out of the stack to go on without a record.",
        StorageError,
    ),
    ErrorCode(
        "recording.missing",
        "The run has no recording.",
        "List `nx.Recording(run)` last in the stack of the next run.",
        StorageError,
    ),
    ErrorCode(
        "recording.damaged",
        "A recording is not what was written.",
        "Keep the file as evidence; take a copy that is whole.",
        IntegrityError,
    ),
    ErrorCode(
        "replay.unknown_call",
        "The recording has no such call.",
        "Use an id that the audit or the recording has.",
        ReplayError,
    ),
    ErrorCode(
        "replay.missing_plugin",
        "A recorded plugin is not there any more.",
        "Bring it back, or replay only calls of the others.",
        ReplayError,
    ),
    ErrorCode(
        "replay.changed_manifest",
        "A recorded plugin does not implement the hook any more.",
        "Bring its hookimpl back, or record a new run.",
        ReplayError,
    ),
    ErrorCode(
        "replay.asked_otherwise",
        "A plugin called back for something that it did not ask for when it was recorded.",
        "Read in the message what it asked, and what it had asked then.",
        ReplayError,
    ),
    ErrorCode(
        "replay.unknown_input",
        "A stand-in was asked something that the recording has no answer to.",
        "Record a run with these arguments, or ask what was recorded.",
        ReplayError,
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
