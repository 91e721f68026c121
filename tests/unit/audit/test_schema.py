"""The schema is the published one, and rows are put together in the order of its columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit.rows import call_facts, event_facts, intent_facts, plugin_facts, run_facts
from nxkernel.audit.schema import (
    CALLS,
    EVENTS,
    FORMAT,
    FORMAT_VERSION,
    INTENTS,
    PLUGINS,
    RUNS,
    TABLES,
    Table,
)
from nxkernel.dispatch.stack import Event
from tests.unit.audit.logs import (
    CONTRACT,
    DIGEST,
    boot_facts,
    facts_of,
    failed,
    make_call,
    ok,
    write_sample,
)

PUBLISHED = json.loads((CONTRACT / f"format.v{FORMAT_VERSION}.json").read_text(encoding="utf-8"))
PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "audit-format.md"


def published_columns(table: dict[str, Any]) -> list[tuple[str, str, bool, str]]:
    """Return the published columns of facts."""
    columns = table["columns"][3:]
    return [(c["name"], c["type"], c["null"], c["meaning"]) for c in columns]


def test_tables_are_those_of_the_published_format() -> None:
    """Names, types, meanings, order and SQL agree with the contract to the letter."""
    ours = [
        (
            t.name,
            t.meaning,
            [(c.name, c.type, c.null, c.meaning) for c in t.columns],
            [t.create, *t.guards],
        )
        for t in TABLES
    ]
    theirs = [
        (t["name"], t["meaning"], published_columns(t), t["sql"]) for t in PUBLISHED["tables"]
    ]
    assert ours == theirs
    assert PUBLISHED["version"] == FORMAT_VERSION
    assert PUBLISHED["database"]["application_id"] == FORMAT.application_id


def test_a_log_has_the_published_schema_and_nothing_else(tmp_path: Path) -> None:
    """What the contract says is what a kernel creates, beside the record of migrations."""
    path = tmp_path / "audit.db"
    write_sample(path)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        applied = connection.execute("SELECT name FROM migrations").fetchall()
    published = {sql for table in PUBLISHED["tables"] for sql in table["sql"]}
    assert {sql for (sql,) in rows if "migrations" not in sql} == published
    assert applied == [(migration.name,) for migration in FORMAT.migrations]


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_every_column_is_documented(table: str) -> None:
    """The reference page has a row for each column of each table."""
    section = PAGE.read_text(encoding="utf-8").partition(f"### `{table}`\n")[2].partition("\n#")[0]
    (columns,) = [t.columns for t in TABLES if t.name == table]
    missing = [c.name for c in columns if f"| `{c.name}` | {c.type}" not in section]
    assert missing == []


INTENT = intent_facts(1, make_call(), 5)


@pytest.mark.parametrize(
    ("table", "build"),
    [
        (RUNS, lambda: run_facts(boot_facts(), 5)),
        (PLUGINS, lambda: plugin_facts(1, facts_of(), None, 5)),
        (INTENTS, lambda: INTENT),
        (CALLS, lambda: call_facts(INTENT, ok(make_call()), 5, 4)),
        (CALLS, lambda: call_facts(INTENT, failed(make_call(), a=1), 5, None)),
        (EVENTS, lambda: event_facts(1, Event(kind="x"), 5)),
    ],
    ids=["runs", "plugins", "intents", "calls", "failed-calls", "events"],
)
def test_rows_have_the_types_of_their_columns(table: Table, build: Callable[[], Any]) -> None:
    """Each fact stands in its column with the column's type."""
    facts = build()
    types = {"INTEGER": int, "TEXT": str}
    for column, value in zip(table.columns, facts, strict=True):
        assert (value is None and column.null) or type(value) is types[column.type], column.name


def test_a_call_stands_in_its_columns() -> None:
    """Every fact of a call and its outcome is found under its own name."""
    call = make_call(
        "7.1", parent="7", caller="app", depth=1, attempt=2, historic=True, phase="setup"
    )
    facts = call_facts(intent_facts(3, call, 11), ok(call), 99, 12)
    assert dict(zip(CALLS.names, facts, strict=True)) == {
        "run": 3,
        "call_id": "7.1",
        "plugin": "ocr.rapid",
        "impl": "read_tokens",
        "hook": "read_tokens",
        "phase": "setup",
        "parent": "7",
        "caller": "app",
        "depth": 1,
        "attempt": 2,
        "historic": 1,
        "level": "confined",
        "started_ns": 11,
        "input_digest": DIGEST,
        "input_bytes": len(call.payload),
        "duration_us": 99,
        "queue_us": 1,
        "transport_us": 2,
        "plugin_us": 3,
        "output_digest": DIGEST,
        "output_bytes": 7,
        "seed": bytes(range(32)).hex(),
        "ok": 1,
        "error_code": None,
        "fault": None,
        "origin": None,
        "details": None,
        "intent_seq": 12,
    }


def test_a_failure_stands_in_its_columns() -> None:
    """Code, fault, origin and facts of an error are on record, its message and values are not."""
    call = make_call()
    outcome = failed(call, exception="builtins.KeyError", value="geheim")
    facts = call_facts(INTENT, outcome, 99, 12)
    row = dict(zip(CALLS.names, facts, strict=True))
    assert (row["ok"], row["error_code"], row["fault"]) == (0, "plugin.raised", "plugin")
    assert row["details"] == '{"exception":"builtins.KeyError","left_out":["value"]}'
    assert "geheim" not in repr(facts)


@pytest.mark.parametrize(("seed", "text"), [(7, "7"), ("experiment A", '"experiment A"')])
def test_the_seed_of_a_run_keeps_its_type(seed: int | str, text: str) -> None:
    """A seed that is the text "7" is another seed than the number 7."""
    import attrs

    facts = run_facts(attrs.evolve(boot_facts(), seed=seed), 1)
    assert dict(zip(RUNS.names, facts, strict=True))["seed"] == text


def test_the_header_fills_its_columns_and_the_environment_the_rest() -> None:
    """No fact of the header is lost: what has no column is part of the fingerprint."""
    row = dict(zip(RUNS.names, run_facts(boot_facts(), 1), strict=True))
    assert (row["level"], row["stack"], row["policy_digest"]) == (
        "confined",
        '["audit","policy"]',
        None,
    )
    assert row["environment"] == '{"cpu":"x86_64","hosting":{"eager":false}}'
