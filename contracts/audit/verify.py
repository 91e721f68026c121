"""Verify an nxkernel audit log with nothing but Python's standard library.

    python verify.py audit.db [--checkpoint FILE] [--json]

Prints one line for each problem and exits with 0 for a sound log, 4 for one that is not, and 2
when the file cannot be read as an audit log. Written from ``format.v1.json`` beside it, and not
from the sources of nxkernel, so that the two can check each other. Needs Python 3.10 or newer.
"""

import argparse
import hashlib
import heapq
import json
import re
import sqlite3
import struct
import sys
from pathlib import Path

APPLICATION_ID = 0x6E784175
DOMAIN = b"nx.audit.v1\0"
GENESIS = bytes(32)
CHECKPOINT = re.compile(
    r"(nxkernel\.audit\.v1/[0-9a-f]{16})\n(0|[1-9][0-9]{0,18})\n([0-9a-f]{64})\n"
)
# One word for each column: INTEGER ends in "#", a column that may be NULL in "?".
CALL = (
    "run# call_id plugin impl hook phase parent? caller? depth# attempt# historic# level "
    "started_ns# input_digest input_bytes#"
)
TABLES = {
    "runs": (
        "run_id kernel started_ns# seed python platform level stack lock_digest? "
        "settings_digest? policy_digest? environment"
    ),
    "plugins": (
        "run# at_ns# plugin version code_digest settings_digest tags provides requires grants "
        "level disabled?"
    ),
    "intents": CALL,
    "calls": CALL
    + (
        " duration_us# queue_us# transport_us# plugin_us# output_digest? output_bytes# seed? ok# "
        "error_code? fault? origin? details? intent_seq#?"
    ),
    "events": "run# at_ns# kind plugin data",
    "run_ends": "run# ended_ns# status checkpoint",
}
NEAR = 16
MAX_PLACES = 256
MAX_PROBLEMS = 1000


class Unreadable(Exception):
    """The file is no audit log, or the checkpoint no checkpoint."""


class Unencodable(Exception):
    """A value that no row of the format can hold."""


def columns(table):
    """Yield name, type and whether NULL is allowed, for each column of facts of *table*."""
    for word in TABLES[table].split():
        yield word.rstrip("#?"), int if "#" in word else str, word.endswith("?")


def expected_schema():
    """Yield table, name and statement of every table and trigger."""
    last = ", ".join(f"ifnull((SELECT max(seq) FROM {table}), 0)" for table in TABLES)
    for table in TABLES:
        stop = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        facts = ", ".join(
            name + (" INTEGER" if kind is int else " TEXT") + ("" if null else " NOT NULL")
            for name, kind, null in columns(table)
        )
        yield (
            table,
            table,
            f"CREATE TABLE {table} "
            f"(seq INTEGER PRIMARY KEY, prev BLOB NOT NULL, digest BLOB NOT NULL, {facts})",
        )
        name = f"{table}_append"
        yield (
            table,
            name,
            f"CREATE TRIGGER {name} BEFORE INSERT ON {table} "
            f"WHEN NEW.seq IS NOT max({last}) + 1 {stop}",
        )
        for verb in ("update", "delete"):
            name = f"{table}_no_{verb}"
            trigger = f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table} {stop}"
            yield table, name, trigger


def pack(value):
    """Encode None, an int, a str or a list of them as the shortest MessagePack."""
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, list):
        head = header(len(value), [(16, "B", 0x90), (1 << 16, "H", 0xDC)])
        return head + b"".join(map(pack, value))
    if not isinstance(value, str):
        raise Unencodable(type(value).__name__)
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError:
        raise Unencodable("text that is no UTF-8") from None
    sizes = [(32, "B", 0xA0), (1 << 8, "B", 0xD9), (1 << 16, "H", 0xDA), (1 << 32, "I", 0xDB)]
    return header(len(data), sizes) + data


def header(length, sizes):
    """Encode a length: within the first byte if it fits, else after it."""
    limit, _, first = sizes[0]
    if length < limit:
        return bytes([first | length])
    for limit, code, first in sizes[1:]:
        if length < limit:
            return struct.pack(">B" + code, first, length)
    raise Unencodable("too long")


def pack_int(value):
    """Encode an int of 64 bits in the fewest bytes."""
    if -32 <= value < 128:
        return struct.pack("b", value)
    if value >= 0:
        sizes = ((8, "B", 0xCC), (16, "H", 0xCD), (32, "I", 0xCE), (64, "Q", 0xCF))
        fits = (size for size in sizes if value < 1 << size[0])
    else:
        sizes = ((8, "b", 0xD0), (16, "h", 0xD1), (32, "i", 0xD2), (64, "q", 0xD3))
        fits = (size for size in sizes if value >= -1 << (size[0] - 1))
    for _, code, first in fits:
        return struct.pack(">B" + code, first, value)
    raise Unencodable("an int of more than 64 bits")


def link(prev, body):
    """Return the digest of a row with *body* that follows the row with digest *prev*."""
    return hashlib.sha256(DOMAIN + prev + struct.pack("<Q", len(body)) + body).digest()


def place_of(row, places):
    """Return the first number in *places* for which the digest of *row* was made, or None.

    The body of a row is the list of its table, its number and its facts.
    """
    _, table, prev, digest, facts = row
    try:
        # Encoded once, however many places are tried: what stands before the number, and after.
        whole, after = pack([table, 0, *facts]), b"".join(map(pack, facts))
    except Unencodable:
        return None
    before = whole[: len(whole) - len(after) - len(pack_int(0))]
    bodies = ((seq, before + pack_int(seq) + after) for seq in places)
    return next((seq for seq, body in bodies if link(prev, body) == digest), None)


def is_digest(value):
    """Tell whether *value* has the form of a digest."""
    return type(value) is bytes and len(value) == 32


def well_formed(row):
    """Tell whether every value of *row* has the type of its column."""
    _, table, prev, digest, facts = row
    return (
        is_digest(prev)
        and is_digest(digest)
        and all(
            type(value) is kind or (value is None and null)
            for (_, kind, null), value in zip(columns(table), facts, strict=True)
        )
    )


class Check:
    """One pass over a log; ``problems`` are (kind, table, seq, message)."""

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        self.problems = []
        self.rows = 0
        self.runs = 0
        self.last = (0, GENESIS, True)
        self.first = self.pinned = None
        self.damaged = []
        self.gaps = []

    def report(self, kind, table, seq, message):
        """Note a problem."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append((kind, table, seq, message))

    def run(self, connection):
        """Check schema, rows and checkpoint."""
        try:
            connection.execute("BEGIN")
            for row in read(connection, self.check_schema(connection)):
                self.check(row)
        except sqlite3.Error as error:
            self.report("malformed", "", 0, f"the database cannot be read: {error}")
        self.place_damaged()
        if self.checkpoint:
            self.check_checkpoint(*self.checkpoint)
        self.problems.sort(key=lambda problem: (problem[2], problem[1], problem[0]))

    def check_schema(self, connection):
        """Compare tables and triggers with the format; return the tables that exist."""
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')"
        found = dict(connection.execute(query).fetchall())
        for table, name, statement in expected_schema():
            if found.get(name) != statement:
                self.report("malformed", table, 0, f"{name} is not as the format has it")
        return [table for table in TABLES if table in found]

    def check(self, row):
        """Check one row against the one before it."""
        seq, table, prev, digest, _ = row
        last_seq, last_digest, last_sound = self.last
        self.rows += 1
        self.runs += table == "runs"
        if seq <= last_seq:
            self.report("forged", table, seq, f"row {seq} claims a number that is taken or unreal")
            return
        if seq > last_seq + 1:
            self.report("missing", "", last_seq + 1, f"rows {last_seq + 1} to {seq - 1} missing")
            self.gaps.extend(range(last_seq + 1, min(seq, last_seq + 1 + MAX_PLACES)))
        sound = self.check_content(row)
        if sound and last_sound and seq == last_seq + 1 and prev != last_digest:
            self.report("forged", table, seq, f"row {seq} does not follow the row before")
        self.last = (seq, digest, sound)
        if seq == 1 and is_digest(digest):
            self.first = digest
        if self.checkpoint and seq == self.checkpoint[1]:
            self.pinned = digest

    def check_content(self, row):
        """Tell whether the row is in order by itself."""
        seq, table = row[:2]
        if not well_formed(row):
            self.report("malformed", table, seq, f"row {seq} has a value that the format forbids")
            return False
        if place_of(row, [seq]) is not None:
            return True
        if len(self.damaged) < MAX_PROBLEMS:
            self.damaged.append(row)
        return False

    def place_damaged(self):
        """Tell a row that stands in another row's place from one that was edited."""
        places = [row[0] for row in self.damaged[:MAX_PLACES]] + self.gaps[:MAX_PLACES]
        for row in self.damaged:
            seq, table = row[:2]
            near = range(max(1, seq - NEAR), seq + NEAR + 1)
            own = place_of(row, (*near, *places))
            if own is None:
                self.report("edited", table, seq, f"row {seq} was edited")
            else:
                self.report("reordered", table, seq, f"row {seq} was written as row {own}")

    def check_checkpoint(self, origin, size, root):
        """Check that the log continues the checkpoint."""
        if self.first and origin_of(self.first) != origin:
            self.report("forged", "", 1, "the checkpoint is of another log, or row 1 is not its")
        if self.last[0] < size:
            self.report("truncated", "", self.last[0] + 1, f"cut off: the checkpoint saw {size}")
        elif self.pinned and self.pinned != bytes.fromhex(root):
            self.report("forged", "", size, f"row {size} is not what the checkpoint saw")

    def head(self):
        """Return the checkpoint of the log as it was read, or None."""
        seq, digest, _ = self.last
        if not self.first or not is_digest(digest):
            return None
        return [origin_of(self.first), seq, digest.hex()]


def origin_of(first):
    """Return the name of the log whose first row has the digest *first*."""
    return f"nxkernel.audit.v1/{first.hex()[:16]}"


def read(connection, tables):
    """Yield (seq, table, prev, digest, facts) of all tables in the order of seq."""
    return heapq.merge(*(read_table(connection, t) for t in tables), key=lambda row: row[0])


def read_table(connection, table):
    """Yield the rows of one table."""
    names = ", ".join(name for name, _, _ in columns(table))
    query = f"SELECT seq, prev, digest, {names} FROM {table} ORDER BY seq"
    for seq, prev, digest, *facts in connection.execute(query):
        yield seq, table, prev, digest, facts


def open_log(path):
    """Open the database for reading; without a WAL file also from a read-only folder."""
    wal = Path(f"{path}-wal")
    still = not wal.is_file() or wal.stat().st_size == 0
    for mode in ["mode=ro"] + ["mode=ro&immutable=1"] * still:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)
        connection.isolation_level = None
        connection.text_factory = lambda data: str(data, "utf-8", "surrogateescape")
        try:
            (found,) = connection.execute("PRAGMA application_id").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            failure = error
            continue
        if found != APPLICATION_ID:
            connection.close()
            raise Unreadable(f"{path.name} is a database, but not an audit log")
        return connection
    raise Unreadable(f"{path.name} cannot be read: {failure}")


def verify(path, checkpoint=None):
    """Check the log at *path*; *checkpoint* is (origin, size, root) or None."""
    path = Path(path)
    if not path.is_file():
        raise Unreadable(f"{path.name} does not exist")
    connection = open_log(path)
    try:
        check = Check(checkpoint)
        check.run(connection)
        return check
    finally:
        connection.close()


def parse_checkpoint(text):
    """Read the three lines of a checkpoint."""
    match = CHECKPOINT.fullmatch(text.replace("\r\n", "\n"))
    if match is None:
        raise Unreadable("this is no checkpoint: expected origin, size and root on three lines")
    return match[1], int(match[2]), match[3]


def render(check, as_json):
    """Return what is printed about a finished check."""
    if as_json:
        names = ("kind", "table", "seq", "message")
        return json.dumps(
            {
                "schema_version": 1,
                "ok": not check.problems,
                "rows": check.rows,
                "runs": check.runs,
                "head": check.head(),
                "problems": [dict(zip(names, problem, strict=True)) for problem in check.problems],
            }
        )
    lines = [f"{kind}: {message}" for kind, _, _, message in check.problems]
    verdict = f"{len(lines)} problems" if lines else "sound"
    lines.append(f"{check.rows} rows in {check.runs} runs: {verdict}")
    if not check.checkpoint:
        lines.append("without a checkpoint kept elsewhere, rows cut off at the end do not show")
    return "\n".join(lines)


def main(arguments=None):
    """Verify the log named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an nxkernel audit log.")
    parser.add_argument("log", help="the database, audit/audit.db in a data directory")
    parser.add_argument("--checkpoint", help="file with a checkpoint that was kept elsewhere")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        text = Path(options.checkpoint).read_text("utf-8") if options.checkpoint else None
        check = verify(options.log, parse_checkpoint(text) if text is not None else None)
    except (OSError, ValueError, Unreadable) as error:
        sys.stderr.write(f"verify.py: {error}\n")
        return 2
    sys.stdout.write(render(check, options.json) + "\n")
    return 4 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
