"""Records of calls that never were, for what reads records."""

from __future__ import annotations

import itertools
from typing import Any

from nxkernel.audit.records import CallRecord

_numbers = itertools.count(1)


def record(call_id: str = "1", **changes: Any) -> CallRecord:
    """Return a call to ``ocr.rapid`` that took 10 ms and went well, with the given differences."""
    facts: dict[str, Any] = {
        "seq": next(_numbers),
        "run_id": "run-1",
        "status": "ok",
        "call_id": call_id,
        "plugin": "ocr.rapid",
        "impl": "read_tokens",
        "hook": "read_tokens",
        "phase": "call",
        "parent": None,
        "caller": None,
        "depth": 0,
        "attempt": 1,
        "historic": False,
        "level": "confined",
        "started_ns": 1_700_000_000_000_000_000,
        "input_digest": "sha256:" + "1a" * 32,
        "input_bytes": 100,
        "duration_us": 10_000,
        "queue_us": 1_000,
        "transport_us": 8_000,
        "plugin_us": 6_000,
        "output_digest": "sha256:" + "2b" * 32,
        "output_bytes": 50,
        "seed": None,
    }
    return CallRecord(**{**facts, **changes})


def failure(call_id: str = "1", code: str = "plugin.raised", **changes: Any) -> CallRecord:
    """Return a call that failed."""
    lost = {"output_digest": None, "output_bytes": 0}
    facts = {"status": "error", "error_code": code, "fault": "plugin", **lost}
    return record(call_id, **{**facts, **changes})
