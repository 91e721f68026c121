"""An exception of a plugin, as facts that may cross and that do not vary from run to run."""

from __future__ import annotations

import errno
import re
import traceback
from typing import Any

import attrs

from nxkernel._wire import Setup
from nxkernel.errors import NxError

__all__ = ["Description", "describe"]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
#: Frames of the runner, which say nothing about the plugin.
_OURS = re.compile(r"/nxkernel/(worker/|_wrappers\.py)")
#: Longest message that crosses, in characters.
MAX_MESSAGE = 2000
#: Innermost frames that cross.
MAX_FRAMES = 20


@attrs.frozen
class Description:
    """What the host is told about an exception."""

    #: ``TypeName: text`` without addresses and with the plugin's folders by their templates.
    message: str
    #: ``exception``, ``frames`` and for an ``OSError`` also ``errno``, ``path`` and ``hint``.
    details: dict[str, Any]


def describe(error: BaseException, setup: Setup) -> Description:
    """Describe *error* so that the same cause gives the same bytes."""
    scrub = _Scrubber(setup)
    name = type(error).__name__
    # An error that came from elsewhere has its name and code already; once is enough.
    text = scrub(_text(error)).removeprefix(f"{name}: ")
    details: dict[str, Any] = {
        "exception": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": _frames(error, scrub),
    }
    if isinstance(error, OSError):
        details |= _os_error(error, scrub)
    message = f"{name}: {text}" if text else name
    if "hint" in details:
        message = f"{message}; {details['hint']}"
    return Description(message=message[:MAX_MESSAGE], details=details)


class _Scrubber:
    """Replaces what differs between runs and machines by what it means."""

    def __init__(self, setup: Setup) -> None:
        pairs = ((setup.code_dir, "{plugin_dir}"), (setup.run_dir, "{run_dir}"))
        self._pairs = [(path, name) for path, name in pairs if path]

    def __call__(self, text: str) -> str:
        for path, name in self._pairs:
            text = text.replace(path, name)
        text = _ADDRESS.sub("0x…", text)
        # Lone surrogates (os.fsdecode) have no UTF-8 form.
        return text.encode("utf-8", "replace").decode("utf-8")


def _text(error: BaseException) -> str:
    try:
        return error.message if isinstance(error, NxError) else str(error)
    except BaseException:
        return "<the exception's text cannot be made>"


def _frames(error: BaseException, scrub: _Scrubber) -> list[dict[str, Any]]:
    found = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in found if not _OURS.search(frame.filename)]
    return [
        {"file": scrub(f.filename), "line": f.lineno or 0, "function": scrub(f.name)}
        for f in inside[-MAX_FRAMES:]
    ]


def _os_error(error: OSError, scrub: _Scrubber) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if error.errno is not None:
        facts["errno"] = errno.errorcode.get(error.errno, str(error.errno))
    if isinstance(error.filename, str):
        facts["path"] = scrub(error.filename)
        if error.errno in (errno.EACCES, errno.EPERM):
            facts["hint"] = (
                "the sandbox denies this path: ask for it under permissions.read or "
                "permissions.write in the manifest, and have the application grant it"
            )
    elif error.errno in (errno.EACCES, errno.EPERM):
        facts["hint"] = (
            "the sandbox denies this: see permissions in the manifest (network, exec, ...)"
        )
    return facts
