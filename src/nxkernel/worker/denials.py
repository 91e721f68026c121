"""What the walls refused, as far as Python can see it: never a wall, always a better error.

The kernel answers with an errno and often without a path: `connect` names no address, sqlite3 says
"unable to open database file", and at level `isolated` a closed file is simply not there. An audit
hook remembers what was tried, so that the host can name the grant that is missing, also where the
plugin swallowed the error.

What it cannot see: files that compiled code opens by itself, `stat` and its like (which the level
`confined` does not refuse), and raw system calls.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from nxkernel._trail import cause_of, context_of, members_of, module_of, short_name
from nxkernel.worker.attempts import ATTEMPTS, NAMELESS, TCP

__all__ = ["Denial", "Fence", "Lookout", "chain_of"]

#: Different denials that one worker reports; a plugin that tries every file fills no memory.
_MOST: Final = 256
#: Longest target that crosses, in characters.
_LONGEST: Final = 1024
#: Refused paths that are remembered for each thread.
_RECENT: Final = 8
#: Denials that one call reports.
PER_CALL: Final = 16
#: Exceptions of one chain that are looked at.
_CHAIN: Final = 32
_REFUSALS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
#: At level `isolated` what was not granted does not exist.
_ABSENCES: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_QUOTED: Final = re.compile(r"""(?:["'`]|^|: )(/[^"'`\n:]+)""")


@attrs.frozen
class Denial:
    """An access that the walls refuse."""

    #: ``read``, ``write``, ``mode``, ``connect``, ``listen``, ``resolve``, ``socket``, ``unix``,
    #: ``exec``, ``fork``, ``signal``, or ``database to read`` and ``database to write`` for the
    #: files that SQLite keeps beside one.
    kind: str
    #: A path, ``host:port``, a program, or empty.
    target: str

    def told(self) -> tuple[str, str]:
        """Return kind and target as they may cross: bounded, and without lone surrogates."""
        target = self.target[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
        return self.kind, target


@attrs.frozen(kw_only=True)
class Fence:
    """Where the walls stand, as the host said; used to explain them, not to hold anything."""

    level: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    connect: frozenset[int] = frozenset()
    listen: frozenset[int] = frozenset()
    #: Whether other programs may be started.
    processes: bool = False

    @property
    def stands(self) -> bool:
        """Whether there are walls at all."""
        return self.level in ("confined", "isolated")

    def covers(self, kind: str, path: str) -> bool:
        """Whether a path that leads nowhere else is readable, or for other kinds writable."""
        roots = (*self.read, *self.write) if kind == "read" else self.write
        return any(path == root or path.startswith(root + "/") for root in roots)


class Lookout:
    """Remembers what was tried, and which of it the fence is known to refuse."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        #: Whether :meth:`news` may find anything to take or to forget.
        self.stirred = False
        #: Denials that were not reported yet, oldest first.
        self._news: deque[Denial] = deque(maxlen=_MOST)
        self._known: set[Denial] = set()
        self._thread = threading.local()
        self._latest: Denial | None = None
        self._easy = {
            "read": tuple(root + "/" for root in (*fence.read, *fence.write)),
            "write": tuple(root + "/" for root in fence.write),
        }

    def install(self) -> None:
        """Watch this process from now on; an audit hook cannot be taken away again."""
        if self.fence.stands:
            # A function: in a bound method the interpreter looks for an attribute in vain.
            sys.addaudithook(lambda event, arguments: self._hear(event, arguments))

    # -- watching --------------------------------------------------------------------------

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        read = ATTEMPTS.get(event)
        if read is None:
            return
        try:
            for kind, target in read(arguments):
                self._tried(kind, target)
        except Exception:  # Odd arguments are refused by the call itself, with its own words.
            return

    def _tried(self, kind: str, target: str) -> None:
        if kind in NAMELESS:
            self.stirred = True
            self._called(self._addressed(Denial(kind, target)))
            return
        if kind.startswith("database"):
            kind = "read" if kind == "database to read" else "write"
            self._thread.database = Denial(kind, target)
        if target.startswith(self._easy["read" if kind == "read" else "write"]):
            return
        denial = self._look(kind, target)
        if denial is not None:
            self.stirred = True
            self._recent().append(denial)
            self._note(denial)

    def _recent(self) -> deque[Denial]:
        """The last refusals of paths in this thread."""
        found: deque[Denial] | None = getattr(self._thread, "paths", None)
        if found is None:
            found = self._thread.paths = deque(maxlen=_RECENT)
        return found

    def _called(self, denial: Denial) -> None:
        self._thread.last = self._latest = denial
        if not self._allows(denial.kind, denial.target):
            self._note(denial)

    def _addressed(self, denial: Denial) -> Denial:
        """A socket that is made right after its address was looked up is made to connect there."""
        if denial.kind == "socket" and denial.target == TCP:
            address: str = getattr(self._thread, "address", "")
            return Denial("connect", address) if address else denial
        self._thread.address = denial.target if denial.kind in ("resolve", "connect") else ""
        return denial

    def _look(self, kind: str, target: str) -> Denial | None:
        """The denial that trying *target* gives, or None where the fence is not the reason."""
        path = os.path.abspath(target)
        if self.fence.covers(kind, os.path.realpath(path)):
            return None
        if kind == "read" and self.fence.level == "confined" and not os.path.lexists(path):
            return None  # Not there: nothing was refused.
        return Denial(kind, path)

    def _allows(self, kind: str, target: str) -> bool:
        port = _port(target) if kind in ("connect", "listen") else 0
        allowed = {
            "connect": port in self.fence.connect,
            "listen": port in self.fence.listen,
            "socket": bool(self.fence.connect or self.fence.listen) and target == TCP,
            "resolve": True,  # Numbers need no resolver; names fail and say so.
            "exec": self.fence.processes,
            "fork": self.fence.processes,
            "signal": target == str(os.getpid()) or self.fence.processes,
        }
        return allowed.get(kind, False)

    def _note(self, denial: Denial) -> None:
        if len(self._known) < _MOST and denial not in self._known:
            self._known.add(denial)
            self._news.append(denial)

    # -- telling ---------------------------------------------------------------------------

    def news(self) -> list[Denial]:
        """Take the denials that were not reported yet, at most `PER_CALL` of them."""
        # First: another thread may be in the middle of something.
        self.stirred = False
        self._thread.address = ""
        self._recent().clear()
        taken = [self._news.popleft() for _ in range(min(PER_CALL, len(self._news)))]
        if self._news:
            self.stirred = True
        return taken

    def reasons(self, error: BaseException) -> list[Denial]:
        """Return the denials that *error*, or an exception that it came from, tells of."""
        if not self.fence.stands:
            return []
        found = (denial for each in chain_of(error) for denial in self._reasons(each))
        return list(dict.fromkeys(found))[:PER_CALL]

    def _reasons(self, error: BaseException) -> Iterator[Denial]:
        if isinstance(error, ImportError):
            yield from self._of_import(error)
        elif module_of(error) == "sqlite3":
            yield from self._of_database(error)
        elif isinstance(error, OSError):
            yield from self._of_system(error)
        elif "ermission denied" in _text(error):
            yield from self._quoted(error)

    def _of_system(self, error: OSError) -> Iterator[Denial]:
        number = error.errno
        if short_name(error) == "gaierror":
            yield from self._last({"resolve"})
            return
        refused = number in _REFUSALS
        if not refused and not (self.fence.level == "isolated" and number in _ABSENCES):
            yield from self._quoted(error)
            return
        names = [n for n in (error.filename, error.filename2) if isinstance(n, str | bytes)]
        last: Denial | None = getattr(self._thread, "last", None)
        if last is not None and last.kind == "exec" and (not names or last.target in names):
            names, refused = [], True
        for name in names:
            yield from self._of_path(os.fsdecode(name))
        if not names and refused:
            found = list(self._last(NAMELESS))
            yield from found or self._quoted(error)

    def _of_path(self, name: str) -> Iterator[Denial]:
        path = os.path.abspath(name)
        tried = [denial for denial in self._recent() if denial.target == path]
        if tried:
            yield tried[-1]
            return
        for kind in ("read", "write"):
            found = self._look(kind, path)
            if found is not None:
                yield found
                return

    def _last(self, kinds: Iterable[str]) -> Iterator[Denial]:
        # Of another thread where this one tried nothing: a future carries errors over.
        last: Denial | None = getattr(self._thread, "last", self._latest)
        if last is not None and last.kind in kinds:
            yield last

    def _of_import(self, error: ImportError) -> Iterator[Denial]:
        if error.path:
            yield from self._reading(error.path)
        yield from self._quoted(error)
        if isinstance(error, ModuleNotFoundError):
            # The finder passes over a folder that it may not list.
            for folder in sys.path:
                if getattr(sys.path_importer_cache.get(folder), "lists", True):
                    yield from self._reading(folder or ".")
            yield from (denial for denial in self._recent() if denial.kind == "read")

    def _reading(self, path: str) -> Iterator[Denial]:
        found = self._look("read", path)
        if found is not None:
            yield found

    def _of_database(self, error: BaseException) -> Iterator[Denial]:
        database: Denial | None = getattr(self._thread, "database", None)
        text = _text(error)
        if database is None or not any(part in text for part in _DATABASE_REFUSALS):
            return
        kind = "write" if "readonly" in text else database.kind
        found = self._look("read", database.target)
        if found is None and getattr(error, "sqlite_errorname", "").startswith(_BESIDE):
            found = self._beside(os.path.realpath(database.target))
        elif found is None:
            found = self._look(kind, database.target)
        if found is not None:
            yield found

    def _beside(self, path: str) -> Denial | None:
        """The denial of the files that SQLite keeps beside a database which itself is open."""
        writes = self.fence.covers("write", path)
        folder = os.path.dirname(path)
        if self.fence.covers("write", folder):
            return None
        if not writes and self.fence.covers("read", folder) and os.path.exists(path + "-shm"):
            return None
        return Denial("database to write" if writes else "database to read", path)

    def _quoted(self, error: BaseException) -> Iterator[Denial]:
        """Compiled code writes the path into its message and nowhere else."""
        for path in _QUOTED.findall(_text(error)[:2000]):
            yield from self._reading(path.strip())


#: Names of SQLite's errors that are about the files beside a database.
_BESIDE: Final = (
    "SQLITE_CANTOPEN",
    "SQLITE_IOERR_DELETE",
    "SQLITE_READONLY_CANTINIT",
    "SQLITE_READONLY_CANTLOCK",
    "SQLITE_READONLY_DIRECTORY",
    "SQLITE_READONLY_ROLLBACK",
)
_DATABASE_REFUSALS: Final = ("unable to open database file", "readonly database", "disk I/O error")


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, what it was raised from or during, and the members of groups."""
    waiting: deque[BaseException | None] = deque([error])
    seen: set[int] = set()
    while waiting and len(seen) < _CHAIN:
        each = waiting.popleft()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += (cause_of(each), context_of(each))
        if isinstance(each, BaseExceptionGroup):
            waiting += members_of(each)


def _port(target: str) -> int:
    port = target.rpartition(":")[2]
    return int(port) if port.isdigit() else 0


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return ""
