"""Facts as JSON text: bounded, sorted, and never an argument or a value of a call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nxkernel.types import Diagnostic, Outcome

__all__ = ["MAX_ITEMS", "dropped_details", "error_details", "stream_details", "text_of"]

#: Keys of an error's details that are on record. Everything else is only named: details come
#: partly from plugins, and an audit log that quotes values would have to be deleted some day.
KEPT = frozenset(
    {
        "after_s",
        "attempts",
        "cause",
        "deadline_s",
        "decision",
        "effect",
        "errno",
        "exception",
        "exit_code",
        "exit_status",
        "failures",
        "field",
        "frames",
        "guarantee",
        "json_path",
        "keyword",
        "limit",
        "path",
        "pointer",
        "restarts",
        "rule",
        "schema_path",
        "signal",
        "state",
        "timeout_s",
        "type",
        "type_name",
    }
)
_MAX_TEXT = 500
MAX_ITEMS = 64
_MAX_DEPTH = 6


def text_of(value: Any) -> str:
    """Return *value* as canonical JSON text; what JSON lacks becomes the name of its type."""
    return json.dumps(_bounded(value, _MAX_DEPTH), sort_keys=True, separators=(",", ":"))


def error_details(details: Mapping[str, Any]) -> str | None:
    """Return what may be recorded of an error's *details*, or None if there are none.

    ``left_out`` names the keys whose values are not on record.
    """
    if not details:
        return None
    kept = {key: details[key] for key in details if key in KEPT}
    if "errno" in kept:
        # The path of an OSError is what the plugin was asked to open: an argument, more often
        # than not. Elsewhere ``path`` is the place in a value, not the value.
        kept.pop("path", None)
    if left_out := sorted(str(key) for key in details if key not in kept):
        kept["left_out"] = left_out
    return text_of(kept)


def dropped_details(diagnostics: Sequence[Diagnostic], delivered: str | None) -> str | None:
    """Return what may be recorded of dropped elements, or None if there are none.

    ``elements`` has code, kind and path of the first of them, ``dropped`` says how many there are,
    ``delivered`` is the digest of what was left.
    """
    if not diagnostics:
        return None
    elements = [{"code": d.code, "kind": d.kind, "path": d.path} for d in diagnostics]
    return text_of({"delivered": delivered, "dropped": len(diagnostics), "elements": elements})


def stream_details(outcome: Outcome) -> str:
    """Return what may be recorded of a stream: ``items`` is how many its consumer was given."""
    if outcome.error is not None:
        rest = error_details(outcome.error.details)
    else:
        rest = dropped_details(outcome.diagnostics, None)
    return text_of({**(json.loads(rest) if rest else {}), "items": outcome.items})


def _bounded(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "…"
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth:
        return _container(value, depth - 1)
    return f"<{type(value).__name__}>"


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        pairs = sorted((str(key), item) for key, item in value.items())
        return {key[:_MAX_TEXT]: _bounded(item, depth) for key, item in pairs[:MAX_ITEMS]}
    items: Sequence[Any] = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
    return [_bounded(item, depth) for item in items[:MAX_ITEMS]]
