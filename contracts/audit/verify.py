"""Verify an nxkernel audit log with nothing but Python's standard library.

    python verify.py audit.db [--archive FOLDER] [--checkpoint FILE [--key KEY]] [--json]
    python verify.py --proof FILE [--key KEY]

The first checks a whole log, with the sealed files in ``segments`` beside it; the second a proof
about one: that a row is in it, or that one state of it continues another. KEY is a verifier key,
name+id+key; then the checkpoint, or that within the proof, must carry a good signature of it.

Prints one line for each problem and exits with 0 for a sound log, 4 for one that is not, and 2
when the file cannot be read as an audit log. Written from ``format.v2.json`` beside it, and not
from the sources of nxkernel, so that the two can check each other. Needs Python 3.10 or newer.
"""

import argparse
import base64
import contextlib
import gzip
import hashlib
import itertools
import json
import re
import shutil
import sqlite3
import struct
import sys
import tempfile
from pathlib import Path

APPLICATION_ID = 0x6E784175
VERSION = 2
# One word for each column. After the name: "#" an INTEGER, "@" an INTEGER that is the number of a
# row of names, "!" a BLOB, "$" a BLOB shown as a digest, "%" a BLOB shown in hex, nothing a TEXT;
# then "?" where NULL is allowed.
CALL = (
    "run# call_id plugin@ edition# impl@ hook@ phase@ parent? caller@? depth# key? attempt# "
    "historic# level@ started_ns# input_digest$ input_bytes#"
)
HAPPENING = "run# at_ns# kind@ plugin@ hook@? call_id? data"
TABLES = {
    "segments": "origin version# base# frontier! previous? at_ns#",
    "names": "name",
    "runs": (
        "run_id kernel started_ns# seed python platform level@ stack plugins_digest$ code_digest$ "
        "settings_digest$ contracts_digest$ lock_digest$? policy_digest$? environment_digest$ "
        "environment continues#?"
    ),
    "plugins": (
        "run# at_ns# plugin@ edition# version@ code_digest$ settings_digest$ tags provides "
        "requires permissions? grants level@ disabled@?"
    ),
    "intents": CALL,
    "calls": CALL
    + (
        " instance#? duration_us# queue_us# transport_us# plugin_us# stack_us? cpu_us#? peak_kb#? "
        "rows_read#? rows_written#? output_digest$? output_bytes# seed%? ok# error_code@? fault@? "
        "origin@? details? intent_seq#?"
    ),
    "failures": HAPPENING,
    "transitions": HAPPENING,
    "decisions": HAPPENING,
    "findings": HAPPENING,
    "evaluations": HAPPENING,
    "events": HAPPENING,
    "run_ends": "run# ended_ns# status@ checkpoint",
    "seals": "at_ns#",
    "batches": ("first# at_ns# root! frontier! marks! spool? from_offset#? to_offset#? ending?"),
}
TYPES = {"#": ("INTEGER", int), "@": ("INTEGER", int), "": ("TEXT", str)}
CHECKPOINT = re.compile(r"([^\s+]{1,200})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n([\s\S]*)")
#: Kinds of proofs, and what their named lines are.
KINDS = {
    "c2sp.org/tlog-proof@v1": ("extra", "index"),
    "nxkernel.audit.consistency@v2": ("old", "root"),
}
SEGMENT = re.compile(r"[0-9]{12}\.db(\.gz)?")
MARK = 4
CHUNK = 4096
MAX_PLACES = 256
MAX_PROBLEMS = 1000


class Unreadable(Exception):
    """The file is no audit log, or the checkpoint no checkpoint."""


class Unproved(Exception):
    """A proof proves nothing."""


class Unsigned(Unproved):
    """A checkpoint has no good signature."""


class Unencodable(Exception):
    """A value that no row of the format can hold."""


# -- the schema ------------------------------------------------------------------------------


def columns(table):
    """Yield name, kind, type in SQL, type in Python and whether NULL is allowed, by column."""
    for word in TABLES[table].split():
        name, kind = re.fullmatch(r"(\w+)([#@!$%]?)\??", word).groups()
        yield name, kind, *TYPES.get(kind, ("BLOB", bytes)), word.endswith("?")


def shown(name, kind):
    """Return the SQL that shows a column as text."""
    if kind == "@":
        return f"(SELECT name FROM names WHERE names.seq = t.{name}) AS {name}"
    if kind in ("$", "%"):
        text = ("'sha256:' || " if kind == "$" else "") + f"lower(hex(t.{name}))"
        return f"CASE WHEN t.{name} IS NOT NULL THEN {text} END AS {name}"
    return f"t.{name}"


def expected_schema():
    """Yield table, name and statement of every table, trigger and view."""
    for table in TABLES:
        stop = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        sealed = "" if table == "batches" else " OR EXISTS (SELECT 1 FROM seals)"
        facts = ", ".join(
            f"{name} {kind}" + ("" if null else " NOT NULL")
            for name, _, kind, _, null in columns(table)
        )
        yield table, table, f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY, {facts})"
        yield (
            table,
            f"{table}_append",
            f"CREATE TRIGGER {table}_append BEFORE INSERT ON {table} "
            f"WHEN NEW.seq <= ifnull((SELECT max(seq) FROM {table}), 0){sealed} {stop}",
        )
        for verb in ("update", "delete"):
            name = f"{table}_no_{verb}"
            yield table, name, f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table} {stop}"
        text = ", ".join(shown(name, kind) for name, kind, *_ in columns(table))
        view = f"CREATE VIEW {table}_text AS SELECT t.seq, {text} FROM {table} AS t"
        yield table, f"{table}_text", view


# -- leaves and the tree (RFC 6962, section 2.1) -----------------------------------------------


def pack(value):
    """Encode None, an int, a str, bytes or a list of them as the shortest MessagePack."""
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, list):
        head = header(len(value), [(16, "B", 0x90), (1 << 16, "H", 0xDC)])
        return head + b"".join(map(pack, value))
    if isinstance(value, bytes):
        sizes = [(0, "", 0), (1 << 8, "B", 0xC4), (1 << 16, "H", 0xC5), (1 << 32, "I", 0xC6)]
        return header(len(value), sizes) + value
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


def leaf_hash(row):
    """Return the hash of the leaf for a row [seq, table, value, ...], or what is no hash of any."""
    try:
        return hashlib.sha256(b"\0" + pack(list(row))).digest()
    except Unencodable:  # text that is no UTF-8
        return b"?"


def node_hash(left, right):
    """Return the hash of the node over two hashes."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that grows: its size and the roots of its perfect subtrees, largest first."""

    def __init__(self, size, frontier):
        if size < 0 or len(frontier) != 32 * bin(size).count("1"):
            raise ValueError("no frontier of a tree of that size")
        self.size = size
        self.peaks = [frontier[at : at + 32] for at in range(0, len(frontier), 32)]

    def grown(self, hashes):
        """Return the tree with more leaves."""
        tree = Tree(self.size, self.frontier())
        for node in hashes:
            bits = tree.size
            while bits & 1:
                node = node_hash(tree.peaks.pop(), node)
                bits >>= 1
            tree.peaks.append(node)
            tree.size += 1
        return tree

    def frontier(self):
        """Return the roots of the perfect subtrees as one text of bytes."""
        return b"".join(self.peaks)

    def root(self):
        """Return the root over all leaves."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


# -- signatures (https://c2sp.org/signed-note, RFC 8032) -------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def decompress(data):
    """Return the point that 32 bytes stand for, as (x, y, 1, xy), or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def add(one, two):
    """Return the sum of two points."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number, point):
    """Return *number* times a point."""
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def ed25519(key, message, signature):
    """Tell whether *signature* of *message* is good."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public, r = decompress(key), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if public is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    left = multiply(s, BASE)
    right = add(r, multiply(int.from_bytes(digest, "little") % L, public))
    # Equal when their quotients are.
    return not any((left[i] * right[2] - right[i] * left[2]) % P for i in (0, 1))


def check_signature(note, key):
    """Raise Unsigned unless *note* carries a good signature of the verifier key."""
    name, _, rest = key.strip().partition("+")
    number, _, data = rest.partition("+")
    public = base64.b64decode(data)[1:]
    key_id = hashlib.sha256(name.encode() + b"\n\1" + public).digest()[:4]
    if len(public) != 32 or number != key_id.hex() or base64.b64decode(data)[:1] != b"\1":
        raise Unreadable("this is no verifier key: expected name+id+key")
    text, _, signatures = note.replace("\r\n", "\n").rpartition("\n\n")
    for line in signatures.split("\n"):
        if line.startswith(f"— {name} "):
            signature = base64.b64decode(line[len(name) + 3 :])
            message = (text + "\n").encode()
            if signature[:4] == key_id and ed25519(public, message, signature[4:]):
                return
    raise Unsigned(f"the checkpoint has no good signature of {name}")


# -- proofs (RFC 9162, sections 2.1.3 and 2.1.4) ---------------------------------------------


def climb(index, size, path):
    """Yield each node of *path*, and whether it joins from the left.

    Raises Unproved when the path does not end at the root.
    """
    last = size - 1
    for node in path:
        if not last:
            raise Unproved("the path goes beyond the root")
        left = bool(index & 1 or index == last)
        yield left, node
        while left and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    if last:
        raise Unproved("the path does not reach the root")


def check_inclusion(leaf, index, path, size, root):
    """Raise Unproved unless the leaf is number *index* of the tree."""
    if not 0 <= index < size:
        raise Unproved(f"there is no leaf {index} in a tree of {size}")
    node = hashlib.sha256(b"\0" + leaf).digest()
    for left, other in climb(index, size, path):
        node = node_hash(other, node) if left else node_hash(node, other)
    if node != root:
        raise Unproved("the path leads to another root")


def check_consistency(old, old_root, path, size, root):
    """Raise Unproved unless the tree continues the old one."""
    if not 0 < old <= size:
        raise Unproved(f"a tree of {size} leaves continues none of {old}")
    if old == size:
        if path or old_root != root:
            raise Unproved("two trees of one size are two trees")
        return
    nodes = ([old_root] if old & (old - 1) == 0 else []) + list(path)
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    if not nodes:
        raise Unproved("the path is empty")
    first = second = nodes[0]
    for left, node in climb(index, last + 1, nodes[1:]):
        first = node_hash(node, first) if left else first
        second = node_hash(node, second) if left else node_hash(second, node)
    if first != old_root or second != root:
        raise Unproved("the path leads to other roots")


def check_proof(text, key=None):
    """Return what a proof shows; raises Unproved or Unsigned when it shows nothing."""
    head, blank, note = text.replace("\r\n", "\n").partition("\n\n")
    kind, *lines = head.split("\n")
    named = dict(line.partition(" ")[::2] for line in lines[:2])
    if not blank or kind not in KINDS or tuple(named) != KINDS[kind]:
        raise Unreadable("this is no proof: expected what nxkernel audit proof writes")
    path = [base64.b64decode(line, validate=True) for line in lines[2:]]
    if any(len(node) != 32 for node in path):
        raise Unreadable("this is no proof: a line is no hash")
    origin, size, root = parse_checkpoint(note)
    if key:
        check_signature(note, key)
    if kind == "c2sp.org/tlog-proof@v1":
        leaf, index = base64.b64decode(named["extra"]), int(named["index"])
        check_inclusion(leaf, index, path, size, base64.b64decode(root))
        return f"row {index + 1} is in {origin} of {size} rows"
    old, old_root = int(named["old"]), base64.b64decode(named["root"])
    check_consistency(old, old_root, path, size, base64.b64decode(root))
    return f"{origin} of {size} rows continues its state of {old} rows"


# -- the log -----------------------------------------------------------------------------------


class Batch:
    """A row of batches: what was committed at once, and the tree before that row."""

    def __init__(self, row):
        self.seq, _, self.first, _, self.root, self.frontier, self.marks, *_ = row

    def mark(self, seq):
        """Return the first bytes of the hash that row *seq* had, or nothing."""
        if self.first <= seq and len(self.marks) == MARK * (self.seq - self.first):
            return self.marks[MARK * (seq - self.first) :][:MARK]
        return b""

    def tree(self):
        """Return the tree that it claims, or None."""
        try:
            return Tree(self.seq - 1, self.frontier)
        except ValueError:
            return None


def fault(row):
    """Name a column whose value has not its type, or return an empty text."""
    _, table, *values = row
    for (name, _, _, kind, null), value in zip(columns(table), values, strict=True):
        if type(value) is not kind and not (value is None and null):
            return name
    return ""


class Check:
    """One pass over a log; ``problems`` are (kind, table, seq, message)."""

    def __init__(self, connection, checkpoint):
        self.connection = connection
        self.checkpoint = checkpoint
        self.problems = []
        self.rows = self.runs = 0
        #: How many of the runs began in an earlier file.
        self.continued = 0
        self.origin = ""
        self.tree = self.pinned = self.base_root = None
        self.first = 1  # number of the file's first row
        self.next = 1  # number of the next leaf
        self.last = 0  # number of the last batch's row
        self.fits = True  # whether that batch was sound in itself
        self.hashes = {}
        self.claims = set()
        self.batches = {}
        self.suspects = {}
        self.places = {}
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'trigger', 'view')"
        self.schema = dict(connection.execute(query).fetchall())
        self.tables = [table for table in TABLES if table in self.schema]

    def report(self, kind, table, seq, message):
        """Note a problem."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append((kind, table, seq, message))

    def check_triggers(self):
        """Find triggers that are none of the format's: they change or drop what is written."""
        known = {name for _, name, _ in expected_schema()}
        query = (
            "SELECT lower(tbl_name), name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 2"
        )
        for table, name in self.connection.execute(query).fetchall():
            if table in TABLES and name not in known:
                self.report("malformed", table, 0, f"trigger {name} is none of the format's")

    def run(self):
        """Check schema, rows and checkpoint."""
        try:
            self.connection.execute("BEGIN")
            for table, name, statement in expected_schema():
                if self.schema.get(name) != statement:
                    self.report("malformed", table, 0, f"{name} is not as the format has it")
            self.check_triggers()
            self.check_rows()
            self.judge()
            query = "SELECT count(*) FROM runs WHERE continues IS NOT NULL"
            (self.continued,) = self.connection.execute(query).fetchone()
        except sqlite3.Error as error:
            self.report("malformed", "", 0, f"the database cannot be read: {error}")

    def check_rows(self):
        """Check every batch, then look for rows that none of them has."""
        self.begin()
        self.first = before = self.next
        self.base_root = self.tree.root() if self.tree else None
        (end,) = self.connection.execute("SELECT max(seq) FROM batches").fetchone()
        while self.last < (end or 0):
            query = "SELECT seq FROM batches WHERE seq > ? ORDER BY seq"
            group = []
            for (seq,) in self.connection.execute(query, (self.last,)):
                group.append(seq)
                if seq - group[0] >= CHUNK or len(group) >= CHUNK:
                    break
            self.check_group(group)
        for seq, table, *values in self.read(-(2**63), before - 1):
            self.stranger([seq, table, *values])
        for seq, table, *values in self.read(self.last + 1, 2**63 - 1):
            self.stranger([seq, table, *values])

    def begin(self):
        """Read how the file begins."""
        names = ", ".join(name for name, *_ in columns("segments"))
        row = self.connection.execute(f"SELECT seq, {names} FROM segments ORDER BY seq").fetchone()
        self.tree = Tree(0, b"")
        if row is None:
            return
        seq, origin, version, base, frontier, *_ = row
        self.origin = origin if isinstance(origin, str) else ""
        self.next, self.last, self.tree = seq, seq - 1, None
        if fault([seq, "segments", *row[1:]]):
            return  # which is reported when the row is read
        if version == VERSION and seq == base + 1:
            with contextlib.suppress(ValueError):
                self.tree = Tree(base, frontier)
        if self.tree is None:
            self.report("malformed", "segments", seq, "the file does not say how it begins")

    def read(self, first, last):
        """Yield [seq, table, value, ...] of all rows in a range, table by table."""
        for table in self.tables:
            names = ", ".join(name for name, *_ in columns(table))
            query = f"SELECT seq, '{table}', {names} FROM {table} WHERE seq BETWEEN ? AND ?"
            for row in self.connection.execute(query + " ORDER BY seq", (first, last)):
                yield list(row)

    def well_formed(self, row):
        """Tell whether every value has the type of its column; else that is a problem."""
        name = fault(row)
        if name:
            message = f"row {row[0]} has a forbidden value in {name}"
            self.report("malformed", row[1], row[0], message)
        return not name

    def check_group(self, group):
        """Check batches, by the numbers of their rows."""
        start = self.last + 1
        pending = self.hashes.get(self.last)
        self.hashes, self.claims, self.batches = {}, set(), {}
        if pending is not None:
            self.hashes[self.last] = pending
        for row in self.read(start, group[-1]):
            seq, table = row[:2]
            self.rows += 1
            self.runs += table == "runs"
            sound = self.well_formed(row)
            if seq in self.hashes:
                self.claims.add(seq)
            else:
                self.hashes[seq] = leaf_hash(row) if sound else b""
            if table == "batches":
                self.batches[seq] = Batch(row) if sound else None
        for seq in group:
            self.check_batch(seq, self.batches[seq])

    def go_on(self, seq, tree, fits):
        """Go on after the batch whose row is *seq*."""
        self.next = self.last = seq
        self.tree, self.fits = tree, fits

    def check_batch(self, seq, batch):
        """Check one batch against its rows."""
        if batch is None:
            self.note_gaps(seq, None)
            self.go_on(seq, None, False)
            return
        self.settle(batch)
        leaves = None
        if batch.first == self.next and seq - batch.first <= len(self.hashes):
            leaves = [self.hashes.get(each, b"") for each in range(batch.first, seq)]
        if leaves is None or b"" in leaves:
            self.check_in_part(batch)
            return
        marked = b"".join(each[:MARK] for each in leaves) == batch.marks
        tree = self.tree.grown(leaves) if self.tree else None
        fits = tree is None or (tree.root() == batch.root and tree.frontier() == batch.frontier)
        if not marked and not (tree and fits) and batch.mark(batch.first):
            self.compare(batch)
            self.go_on(seq, batch.tree(), True)
            return
        if self.tree and self.checkpoint and batch.first - 1 <= self.checkpoint[1] < seq:
            wanted = self.checkpoint[1] - self.tree.size
            self.pinned = self.tree.grown(leaves[:wanted]).root()
        if not (marked and fits):
            self.suspect(seq, "edited")
        self.go_on(seq, tree or batch.tree(), marked and fits)

    def check_in_part(self, batch):
        """Check a batch whose rows are not all there, or that begins where it should not."""
        gaps = self.note_gaps(batch.seq, batch)
        if batch.first != self.next and not any(seq <= batch.first for seq in gaps):
            self.suspect(batch.seq, "edited")
            self.go_on(batch.seq, None, False)
            return
        self.compare(batch)
        self.go_on(batch.seq, batch.tree(), True)

    def note_gaps(self, end, batch):
        """Report the numbers before *end* that no row has; return where each gap begins."""
        present = sorted(seq for seq in self.hashes if self.next <= seq < end)
        begins = []
        for before, after in zip([self.next - 1, *present], [*present, end], strict=True):
            if after > before + 1:
                begins.append(before + 1)
                self.report("missing", "", before + 1, f"rows {before + 1} to {after - 1} missing")
                for seq in range(before + 1, min(after, before + 1 + MAX_PROBLEMS)):
                    if batch and batch.mark(seq):
                        self.place(seq, batch.mark(seq))
        return begins

    def compare(self, batch):
        """Suspect the rows that are not what the batch saw."""
        for seq in sorted(seq for seq in self.hashes if batch.first <= seq < batch.seq):
            mark, found = batch.mark(seq), self.hashes[seq]
            if mark and found[:MARK] != mark:
                self.place(seq, mark)
                if found:
                    whole = seq == self.last and self.fits
                    self.suspect(seq, "forged" if whole else "edited")

    def settle(self, batch):
        """Of rows that claim one number, keep the one that the batch saw."""
        for seq in sorted(seq for seq in self.claims if self.next <= seq <= batch.seq):
            rows = list(self.read(seq, seq))
            mark = batch.mark(seq)
            right = next((row for row in rows if mark and leaf_hash(row)[:MARK] == mark), rows[0])
            self.hashes[seq] = leaf_hash(right)
            for row in rows:
                if row is not right:
                    self.report("forged", row[1], seq, f"row {seq} claims a number that is taken")

    def place(self, seq, mark):
        """Note that another row belongs at *seq*."""
        if len(self.places) < MAX_PLACES:
            self.places[seq] = mark

    def suspect(self, seq, word, row=None):
        """Note that a row is not what it should be."""
        row = row or next(self.read(seq, seq))
        if len(self.suspects) < MAX_PROBLEMS:
            self.suspects.setdefault((seq, row[1]), (row, word))

    def stranger(self, row):
        """Suspect a row that no batch has."""
        self.rows += 1
        self.runs += row[1] == "runs"
        if self.well_formed(row):
            self.suspect(row[0], "stranger", row)

    def judge(self):
        """Say of each suspected row whether it was moved, edited or forged."""
        expected = None
        for (seq, table), (row, word) in sorted(self.suspects.items()):
            own = next(
                (
                    place
                    for place, mark in self.places.items()
                    if place != seq and leaf_hash([place, *row[1:]])[:MARK] == mark
                ),
                None,
            )
            if own is not None:
                self.report("reordered", table, seq, f"row {seq} was written as row {own}")
            elif word == "stranger":
                if seq != expected:
                    self.report("forged", table, seq, f"row {seq} belongs to no batch")
                expected = seq + 1
            else:
                self.report(word, table, seq, f"row {seq} was {word}")

    def end(self):
        """Return the tree over all rows, or None."""
        pending = self.hashes.get(self.last, b"")
        if self.tree is None or not pending:
            return self.tree if self.last == 0 else None
        return self.tree.grown([pending])

    def root(self):
        """Return the root over all rows at the end of the file, or None."""
        end = self.end()
        return end.root() if end else None


class Log:
    """What was found in all files of a log, oldest first."""

    def __init__(self, checks, checkpoint):
        self.checkpoint = checkpoint
        self.checks = checks
        self.rows = sum(check.rows for check in checks)
        #: A run that goes on over several files is one.
        self.runs = sum(check.runs for check in checks)
        self.runs -= sum(check.continued for check in checks[1:])
        self.problems = [problem for check in checks for problem in check.problems]
        for before, check in itertools.pairwise(checks):
            self.check_joint(before, check)
        if checkpoint:
            self.check_checkpoint(*checkpoint)
        self.problems.sort(key=lambda problem: (problem[2], problem[1], problem[0]))
        del self.problems[MAX_PROBLEMS:]

    def check_joint(self, before, check):
        """Check that a file continues the one before."""
        expected = before.last + 1
        if check.first > expected:
            message = f"rows {expected} to {check.first - 1} missing: no file has them"
            self.problems.append(("missing", "", expected, message))
        elif check.first < expected or check.origin != before.origin:
            message = "the file does not continue the one before"
            self.problems.append(("forged", "segments", check.first, message))
        elif check.base_root is not None and before.root() not in (None, check.base_root):
            message = "the file continues another state than that of the one before"
            self.problems.append(("forged", "segments", check.first, message))

    def check_checkpoint(self, origin, size, root):
        """Check that the log continues the checkpoint."""
        last = self.checks[-1]
        roots = [check.root() for check in self.checks if check.last == size]
        roots += [check.pinned for check in self.checks if check.pinned]
        pinned = next((found for found in roots if found), None)
        if last.origin and last.origin != origin:
            self.problems.append(("forged", "", 1, "the checkpoint is of another log"))
        if last.last < size:
            message = f"cut off: the checkpoint saw {size}"
            self.problems.append(("truncated", "", last.last + 1, message))
        elif pinned and pinned != base64.b64decode(root):
            message = f"rows 1 to {size} are not what the checkpoint saw"
            self.problems.append(("forged", "", size, message))

    def limits(self):
        """Yield what the result does not show."""
        before = self.checks[0].first - 1
        if before > 0:
            yield f"rows 1 to {before} are in files that are not here"
        if not self.checkpoint:
            yield "without a checkpoint kept elsewhere, rows cut off at the end do not show"
        elif self.checkpoint[1] < before:
            yield "the file with the last row that the checkpoint saw is not here"

    def head(self):
        """Return the checkpoint of the log as it was read, or None."""
        last = self.checks[-1]
        if not last.root() or not last.last or not last.origin:
            return None
        return [last.origin, last.last, base64.b64encode(last.root()).decode()]


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
        if found != APPLICATION_ID or is_old(connection):
            connection.close()
            what = "of format version 1" if found == APPLICATION_ID else "but not an audit log"
            raise Unreadable(f"{path.name} is a database, {what}")
        return connection
    raise Unreadable(f"{path.name} cannot be read: {failure}")


def is_old(connection):
    """Tell whether the file is a log of format version 1."""
    try:
        names = connection.execute("SELECT name FROM migrations").fetchall()
    except sqlite3.Error:
        return False
    return ("1-audit",) in names


def files_of(path, archives=()):
    """Return the files of a log, oldest first: the sealed ones, and itself."""
    if SEGMENT.fullmatch(path.name):
        return [path]
    found = {}
    for folder in (*archives, path.with_name("segments")):
        names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        there = {}
        for name in names:
            if SEGMENT.fullmatch(name):
                there.setdefault(name[:12], folder / name)
        found.update(there)
    return [found[first] for first in sorted(found)] + [path]


def check_file(path, checkpoint):
    """Check one file by itself."""
    with contextlib.ExitStack() as stack:
        if path.suffix == ".gz":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            plain = Path(folder) / path.stem
            with gzip.open(path) as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file)
            path = plain
        connection = stack.enter_context(contextlib.closing(open_log(path)))
        check = Check(connection, checkpoint)
        check.run()
        return check


def verify(path, checkpoint=None, archives=()):
    """Check the log at *path*; *checkpoint* is (origin, size, root) or None."""
    path = Path(path)
    if not path.is_file():
        raise Unreadable(f"{path.name} does not exist")
    return Log([check_file(each, checkpoint) for each in files_of(path, archives)], checkpoint)


def parse_checkpoint(text):
    """Read the three lines of a checkpoint; signatures may follow."""
    match = CHECKPOINT.fullmatch(text.replace("\r\n", "\n"))
    if match is None or base64.b64encode(base64.b64decode(match[3])).decode() != match[3]:
        raise Unreadable("this is no checkpoint: expected origin, size and root on three lines")
    _, blank, signatures = ("\n" + match[4]).partition("\n\n")
    lines = signatures.split("\n")
    if blank and not (lines[-1] == "" and lines[:-1] and all(s[:2] == "— " for s in lines[:-1])):
        raise Unreadable("this is no checkpoint: after a blank line come signatures")
    if not blank and match[4] and not match[4].endswith("\n"):
        raise Unreadable("this is no checkpoint: its last line has no end")
    return match[1], int(match[2]), match[3]


def render(check, as_json):
    """Return what is printed about a finished check."""
    if as_json:
        names = ("kind", "table", "seq", "message")
        return json.dumps(
            {
                "schema_version": 2,
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
    lines += check.limits()
    return "\n".join(lines)


def main(arguments=None):
    """Verify what is named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an nxkernel audit log, or a proof.")
    parser.add_argument("log", nargs="?", help="the database, audit/audit.db in a data directory")
    parser.add_argument("--checkpoint", help="file with a checkpoint that was kept elsewhere")
    parser.add_argument("--archive", action="append", default=[], help="folder of older files")
    parser.add_argument("--proof", help="file with a proof; no log is needed for it")
    parser.add_argument("--key", help="verifier key of who must have signed the checkpoint")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if bool(options.log) == bool(options.proof):
        parser.error("give a log or a proof")
    try:
        if options.proof:
            shown = check_proof(Path(options.proof).read_text("utf-8"), options.key)
            sys.stdout.write(f"{shown}\n")
            return 0
        text = Path(options.checkpoint).read_text("utf-8") if options.checkpoint else None
        if options.key:
            check_signature(text or "", options.key)
        point = parse_checkpoint(text) if text is not None else None
        check = verify(options.log, point, [Path(folder) for folder in options.archive])
    except Unproved as error:
        sys.stdout.write(f"not proved: {error}\n")
        return 4
    except (OSError, ValueError, Unreadable) as error:
        sys.stderr.write(f"verify.py: {error}\n")
        return 2
    sys.stdout.write(render(check, options.json) + "\n")
    return 4 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
