"""An exception of a plugin, as facts that may cross and that do not vary from run to run."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel._canonical import encode
from nxkernel._trail import Trail, short_name, text_of
from nxkernel._wire import Failure, Setup
from nxkernel.errors import DeterminismError, NxError

__all__ = ["BadValue", "Description", "describe", "failure"]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
#: Longest message that crosses, in characters.
MAX_MESSAGE = 2000


class BadValue(Exception):
    """A result that cannot cross, or arguments that do not fit the annotations."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, dict(details)


@attrs.frozen
class Description:
    """What the host is told about an exception."""

    #: ``TypeName: text`` without addresses and with the plugin's folders by their templates.
    message: str
    #: ``exception``, ``frames``, ``traceback`` (with sources and causes, see ``_trail``), and of an
    #: ``OSError`` also ``errno`` and ``path``.
    details: dict[str, Any]


def failure(seq: int, error: BaseException, inner: NxError | None, setup: Setup) -> Failure:
    """Return what a call answers that *error* has ended; *inner* is what a wrapper was handed."""
    if isinstance(error, BadValue):
        code, text, details = error.code, error.message, error.details
    elif inner is not None and error is inner:
        # A wrapper that lets the inner error through does not make it its own.
        code, text, details = inner.code, inner.message, {}
    elif isinstance(error, DeterminismError):
        code, text = error.code, error.message
        details = describe(error, setup).details
    else:
        description = describe(error, setup)
        code, text, details = "plugin.raised", description.message, description.details
    return Failure(
        seq=seq,
        code=code,
        message=text,
        details=encode(details),
        origin=str(getattr(error, "origin", "")),
        plugin_us=0,
    )


def describe(error: BaseException, setup: Setup) -> Description:
    """Describe *error* so that the same cause gives the same bytes."""
    scrub = _Scrubber(setup)
    name = short_name(error)
    # An error that came from elsewhere has its name and code already; once is enough.
    text = scrub(text_of(error)).removeprefix(f"{name}: ")
    tree = Trail(scrub).of(error)
    details: dict[str, Any] = {
        "exception": tree["exception"],
        # For the audit, which keeps no line of a plugin's code.
        "frames": [{k: v for k, v in each.items() if k != "source"} for each in tree["frames"]],
        "traceback": tree,
    }
    if len(encode(tree)) > setup.max_payload // 2:
        del details["traceback"]  # a frame that is too large would cost the worker
    if isinstance(error, OSError):
        details |= _os_error(error, scrub)
    message = f"{name}: {text}" if text else name
    return Description(message=message[:MAX_MESSAGE], details=details)


class _Scrubber:
    """Replaces what differs between runs and machines by what it means."""

    def __init__(self, setup: Setup) -> None:
        prefix = setup.environment.prefix if setup.environment is not None else ""
        pairs = (
            (setup.code_dir, "{plugin_dir}"),
            (setup.run_dir, "{run_dir}"),
            (prefix, "{environment}"),
        )
        self._pairs = [(path, name) for path, name in pairs if path]

    def __call__(self, text: str) -> str:
        for path, name in self._pairs:
            text = text.replace(path, name)
        text = _ADDRESS.sub("0x…", text)
        # Lone surrogates (os.fsdecode) have no UTF-8 form.
        return text.encode("utf-8", "replace").decode("utf-8")


def _os_error(error: OSError, scrub: _Scrubber) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if error.errno is not None:
        facts["errno"] = errno.errorcode.get(error.errno, str(error.errno))
    if isinstance(error.filename, str):
        facts["path"] = scrub(error.filename)
    return facts
