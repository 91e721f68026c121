"""The schema is the published one, and rows are put together in the order of its columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit.columns import Facts
from nxkernel.audit.rows import call_facts, event_facts, intent_facts, plugin_facts, run_facts
from nxkernel.audit.schema import (
    CALLS,
    DECISIONS,
    EVALUATIONS,
    EVENTS,
    FAILURES,
    FINDINGS,
    FORMAT,
    FORMAT_VERSION,
    INTENTS,
    PLUGINS,
    RUNS,
    TABLES,
    TRANSITIONS,
    Table,
    table_of,
)
from nxkernel.dispatch.stack import Event
from nxkernel.types import Outcome, Timing, Usage
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
    columns = table["columns"][1:]
    return [(c["name"], c["kind"], c["null"], c["meaning"]) for c in columns]


def test_tables_are_those_of_the_published_format() -> None:
    """Names, types, meanings, order and SQL agree with the contract to the letter."""
    ours = [
        (
            t.name,
            t.meaning,
            [(c.name, c.kind, c.null, c.meaning) for c in t.columns],
            list(t.statements),
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
    # An index makes nothing true or false: the format has none.
    assert {s for (s,) in rows if "migrations" not in s and "INDEX" not in s} == published
    assert applied == [(migration.name,) for migration in FORMAT.migrations]


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_every_column_is_documented(table: str) -> None:
    """The reference page has a row for each column of each table."""
    section = PAGE.read_text(encoding="utf-8").partition(f"### `{table}`\n")[2].partition("\n#")[0]
    (columns,) = [t.columns for t in TABLES if t.name == table]
    missing = [c.name for c in columns if f"| `{c.name}` | {c.kind}" not in section]
    assert missing == []


INTENT = (1, *intent_facts(make_call(), 5))


def row_of_call(outcome: Outcome, before: Facts = INTENT) -> Facts:
    """Return the row of a call that began with the facts *before*."""
    return (*before, *call_facts(outcome, 99, (5999, 12)))


@pytest.mark.parametrize(
    ("table", "build"),
    [
        (RUNS, lambda: run_facts(boot_facts(), 5)),
        (PLUGINS, lambda: (1, *plugin_facts(facts_of(), None, 5))),
        (INTENTS, lambda: INTENT),
        (CALLS, lambda: row_of_call(ok(make_call()))),
        (CALLS, lambda: row_of_call(failed(make_call(), a=1))),
        (EVENTS, lambda: (1, *event_facts(Event(kind="x"), 5))),
    ],
    ids=["runs", "plugins", "intents", "calls", "failed-calls", "events"],
)
def test_rows_have_the_types_of_their_columns(table: Table, build: Callable[[], Any]) -> None:
    """Each fact stands in its column with the column's type."""
    facts = build()
    stored = table.store(facts, lambda name: len(name))
    assert table.fault(stored) == ""


def test_a_call_stands_in_its_columns() -> None:
    """Every fact of a call and its outcome is found under its own name."""
    call = make_call(
        "7.1", parent="7", caller="app", depth=1, attempt=2, historic=True, phase="setup"
    )
    used = Usage(cpu_us=8, rows_read=2, rows_written=0)
    timing = Timing(queue_us=1, transport_us=2, plugin_us=3, used=used, instance=4)
    facts = row_of_call(ok(call, timing=timing), (3, *intent_facts(call, 11)))
    assert dict(zip(CALLS.names, facts, strict=True)) == {
        "run": 3,
        "call_id": "7.1",
        "plugin": "ocr.rapid",
        "edition": 1,
        "impl": "read_tokens",
        "hook": "read_tokens",
        "phase": "setup",
        "parent": "7",
        "caller": "app",
        "depth": 1,
        "key": '["7.1"]',
        "attempt": 2,
        "historic": 1,
        "level": "confined",
        "started_ns": 11,
        "input_digest": DIGEST,
        "input_bytes": len(call.payload),
        "instance": 4,
        "duration_us": 99,
        "queue_us": 1,
        "transport_us": 2,
        "plugin_us": 3,
        "stack_us": "[6,0]",
        "cpu_us": 8,
        "peak_kb": None,
        "rows_read": 2,
        "rows_written": 0,
        "output_digest": DIGEST,
        "output_bytes": 7,
        "seed": bytes(range(32)).hex(),
        "ok": 1,
        "error_code": None,
        "fault": None,
        "origin": None,
        "details": None,
        "intent_seq": None,
    }


def test_what_a_call_used_stands_in_its_columns() -> None:
    """Times of the stack, processor time, memory, rows and the worker are on record if known."""
    used = Usage(cpu_us=7, peak_kb=8, rows_read=9, rows_written=10)
    timing = Timing(queue_us=1, transport_us=2, plugin_us=3, used=used, instance=4)
    outcome = ok(make_call(), timing=timing)
    facts = (*INTENT, *call_facts(outcome, 99, [12_345, 999, 400]))
    row = dict(zip(CALLS.names, facts, strict=True))
    names = ("stack_us", "cpu_us", "peak_kb", "rows_read", "rows_written", "instance")
    assert tuple(row[name] for name in names) == ("[12,1,0]", 7, 8, 9, 10, 4)


def test_a_failure_stands_in_its_columns() -> None:
    """Code, fault, origin and facts of an error are on record, its message and values are not."""
    call = make_call()
    outcome = failed(call, exception="builtins.KeyError", value="geheim")
    facts = row_of_call(outcome)
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


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("worker.exit", FAILURES),
        ("plugin.disabled", FAILURES),
        ("access.denied", FAILURES),
        ("worker.state", TRANSITIONS),
        ("breaker.half_open", TRANSITIONS),
        ("governor.anything", TRANSITIONS),
        ("policy.decision", DECISIONS),
        ("determinism.drawn", FINDINGS),
        ("template.diff", EVALUATIONS),
        ("plugin.settings", EVENTS),
        ("never.heard_of", EVENTS),
    ],
)
def test_what_happened_has_a_table_by_its_kind(kind: str, table: Table) -> None:
    """Each kind goes to the table that the format names for it, and any other one to events."""
    assert table_of(kind) is table


def test_a_happening_names_its_hook_and_call() -> None:
    """Hook and call can be asked for in SQL; all facts are there as JSON."""
    data = {"hook": "keep", "call_id": "7.1", "effect": "deny"}
    facts = event_facts(Event(kind="policy.decision", plugin="store", data=data), 5)
    assert facts[1:5] == ("policy.decision", "store", "keep", "7.1")
    assert facts[5] == '{"call_id":"7.1","effect":"deny","hook":"keep"}'
    assert event_facts(Event(kind="x", data={"hook": 5}), 5)[3:5] == (None, None)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("doc-17",), '["doc-17"]'),
        (("doc-17", 4, b"\xff"), '["doc-17",4,"ff"]'),
        ((bytes.fromhex(DIGEST[7:]), 0), None),
        ((bytes.fromhex(DIGEST[7:]), 0, "teardown"), None),
    ],
)
def test_the_key_of_a_call_is_the_one_that_was_given(key: tuple[object, ...], text: str) -> None:
    """A call without one is known by the digest of its arguments, which has its own column."""
    row = dict(zip(INTENTS.names[1:], intent_facts(make_call(key=key), 5), strict=True))
    assert row["key"] == text


def test_the_digests_of_a_header_cover_what_they_name() -> None:
    """A change of one of these things changes its own digest, and no other."""
    names = ("plugins_digest", "code_digest", "settings_digest", "contracts_digest",
             "environment_digest")  # fmt: skip

    def digests(facts: Any, **header: Any) -> dict[str, Any]:
        import attrs

        boot = boot_facts("run-1", facts)
        boot = attrs.evolve(boot, header={**boot.header, **header})
        row = dict(zip(RUNS.names, run_facts(boot, 1), strict=True))
        return {name: row[name] for name in names}

    plain = digests(facts_of())
    other = {
        "plugins_digest": digests(facts_of(version="9")),
        "code_digest": digests(facts_of(code_digest="sha256:" + "11" * 32)),
        "settings_digest": digests(facts_of(), settings_digest="x"),
        "contracts_digest": digests(facts_of(contracts={"h": {"input": {"type": "object"}}})),
        "environment_digest": digests(facts_of(), environment={"TZ": "UTC"}),
    }
    for name, changed in other.items():
        assert [n for n in names if changed[n] != plain[n]] == [name]
    assert len(set(plain.values())) == len(names)
