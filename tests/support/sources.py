"""Forty plugins and more, each with one source of non-determinism, and what becomes of each.

The column ``fate`` is what the page "What is the same in every run" says; a test holds both to it.
The line that draws is marked ``# here``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["BLOCKED", "CLOSED", "NOTHING", "PREVENTED", "REPLAY", "SOURCES", "Source"]

#: The same in every run: nothing is left to chance.
PREVENTED: Final = "prevented"
#: Refused in mode strict, on record in mode warn, with the right line.
BLOCKED: Final = "blocked"
#: Refused by the sandbox in mode strict: Python cannot see it.
CLOSED: Final = "closed"
#: Differs, and nobody says so before calls are made again and varied.
REPLAY: Final = "replay"
#: The same on one machine, whatever is varied there.
NOTHING: Final = "nothing"

_HEAD = "import nxkernel as nx\n\nhookimpl = nx.HookimplMarker('zoo')\n"


@attrs.frozen(kw_only=True)
class Source:
    """A plugin with one source."""

    name: str
    fate: str
    #: The module's body; ``act`` returns what was drawn.
    body: str
    #: Further lines of the manifest.
    manifest: str = ""
    #: The function that the guard names.
    function: str = ""
    #: Of what only a comparison finds: the variations to which it is traced, any of these; none is
    #: what differs by itself, and ``*`` whatever it may be.
    traced: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """The plugin's id."""
        return f"wild.{self.name}"

    @property
    def line(self) -> int:
        """The line that draws, or 0 where none is marked."""
        lines = self.text.splitlines()
        return next((n for n, line in enumerate(lines, 1) if line.endswith("# here")), 0)

    @property
    def text(self) -> str:
        """The whole module."""
        return _HEAD + self.body

    def write(self, place: Path) -> Path:
        """Write the plugin's folder below *place* and return it."""
        folder = place / self.name
        folder.mkdir(parents=True)
        (folder / "plugin.toml").write_text(
            f'schema_version = 1\nid = "{self.id}"\nversion = "1.0.0"\nentrypoint = "plugin"\n'
            f'hooks = ["act"]\n{self.manifest}'
        )
        (folder / "plugin.py").write_text(self.text)
        return folder


def _act(name: str, fate: str, imports: str, drawn: str, **more: Any) -> Source:
    """A plugin whose hookimpl returns the value of one expression."""
    body = f"{imports}\n\n@hookimpl\ndef act(value):\n    return {drawn}  # here\n"
    return Source(name=name, fate=fate, body=body, **more)


def _module(name: str, fate: str, body: str, **more: Any) -> Source:
    return Source(name=name, fate=fate, body=textwrap.dedent(body), **more)


def _traced(*names: str) -> frozenset[str]:
    return frozenset(names)


_RANDOM = "import random"
_NUMPY = "import numpy"

SOURCES: Final[tuple[Source, ...]] = (
    # -- randomness that the guard sees --------------------------------------------------------
    _act("random-random", BLOCKED, _RANDOM, "random.random()", function="random.random()"),
    _act(
        "random-choice",
        BLOCKED,
        "from random import choice",
        "choice('abc')",
        function="random.choice()",
    ),
    _act(
        "random-sample", BLOCKED, _RANDOM, "random.sample(range(99), 3)", function="random.sample()"
    ),
    _act("random-gauss", BLOCKED, _RANDOM, "random.gauss(0, 1)", function="random.gauss()"),
    _act(
        "random-bits", BLOCKED, _RANDOM, "random.getrandbits(40)", function="random.getrandbits()"
    ),
    _act(
        "random-unseeded",
        BLOCKED,
        _RANDOM,
        "random.Random().random()",
        function="random.Random() without a seed",
    ),
    _act(
        "random-system",
        BLOCKED,
        _RANDOM,
        "random.SystemRandom().random()",
        function="random.SystemRandom()",
    ),
    _act(
        "secrets-token",
        BLOCKED,
        "import secrets",
        "secrets.token_hex()",
        function="secrets.token_hex()",
    ),
    _act(
        "secrets-below",
        BLOCKED,
        "from secrets import randbelow",
        "randbelow(9999)",
        function="secrets.randbelow()",
    ),
    _act("os-urandom", BLOCKED, "import os", "os.urandom(8)", function="os.urandom()"),
    _act("os-getrandom", BLOCKED, "import os", "os.getrandom(8)", function="os.getrandom()"),
    _act("uuid-4", BLOCKED, "import uuid", "str(uuid.uuid4())", function="uuid.uuid4()"),
    _act("uuid-1", BLOCKED, "import uuid", "str(uuid.uuid1())", function="uuid.uuid1()"),
    _act(
        "dev-urandom",
        BLOCKED,
        "",
        "open('/dev/urandom', 'rb').read(8)",
        function="open('/dev/urandom')",
    ),
    _act(
        "email-id",
        BLOCKED,
        "import email.utils",
        "email.utils.make_msgid(domain='x')",
        function="random.getrandbits()",
    ),
    _act(
        "numpy-global",
        BLOCKED,
        _NUMPY,
        "float(numpy.random.rand())",
        function="numpy.random.rand()",
    ),
    _act(
        "numpy-object",
        BLOCKED,
        _NUMPY,
        "float(numpy.random.mtrand._rand.normal())",
        function="numpy.random.normal()",
    ),
    _act(
        "numpy-rng",
        BLOCKED,
        _NUMPY,
        "float(numpy.random.default_rng().random())",
        function="numpy.random.default_rng()",
    ),
    _act(
        "numpy-state",
        BLOCKED,
        _NUMPY,
        "float(numpy.random.RandomState().rand())",
        function="numpy.random.RandomState()",
    ),
    _act(
        "numpy-sequence",
        BLOCKED,
        _NUMPY,
        "str(numpy.random.SeedSequence().entropy)",
        function="a generator of numpy.random without a seed",
    ),
    _module(
        "random-reseeded",
        BLOCKED,
        """
        import random

        @hookimpl
        def act(value):
            random.seed()  # here
            return random.random()
        """,
        function="random.seed()",
    ),
    _module(
        "random-seeded-once",
        BLOCKED,
        """
        import random

        random.seed(1)

        @hookimpl
        def act(value):
            return random.random()  # here
        """,
        function="random.random()",
    ),
    _module(
        "random-subclass",
        BLOCKED,
        """
        import random

        class Dice(random.Random):
            def roll(self):
                return self.randint(1, 10**9)  # here

        @hookimpl
        def act(value):
            return Dice().roll()
        """,
        function="random.Random() without a seed",
    ),
    # -- clocks and facts of the machine, by their own settings ----------------------------------
    _act("clock-time", BLOCKED, "import time", "time.time()", function="time.time()"),
    _act(
        "clock-counter",
        BLOCKED,
        "from time import perf_counter",
        "perf_counter()",
        function="time.perf_counter()",
    ),
    _act(
        "clock-now",
        BLOCKED,
        "from datetime import datetime",
        "datetime.now().isoformat()",
        function="datetime.datetime.now()",
    ),
    _act(
        "clock-today",
        BLOCKED,
        "import datetime",
        "datetime.date.today().isoformat()",
        function="datetime.date.today()",
    ),
    _act("clock-text", BLOCKED, "import time", "time.strftime('%c')", function="time.strftime()"),
    _act("process-id", BLOCKED, "import os", "os.getpid()", function="os.getpid()"),
    _act("processors", BLOCKED, "import os", "os.cpu_count()", function="os.cpu_count()"),
    _act(
        "host-name",
        BLOCKED,
        "import socket",
        "socket.gethostname()",
        function="socket.gethostname()",
    ),
    _act(
        "kernel-version",
        BLOCKED,
        "import platform",
        "platform.release()",
        function="platform.release()",
    ),
    _act(
        "machine-memory",
        BLOCKED,
        "import os",
        "os.sysconf('SC_PHYS_PAGES')",
        function="os.sysconf()",
    ),
    # -- what is the same in every worker --------------------------------------------------------
    _act("hash-text", PREVENTED, "", "hash('text')"),
    _act("set-order", PREVENTED, "", "list({'one', 'two', 'three', 'four', 'five'})"),
    _act("time-zone", PREVENTED, "import time", "list(time.tzname)"),
    _act(
        "locale",
        PREVENTED,
        "import locale",
        "[locale.setlocale(locale.LC_ALL, ''), locale.getpreferredencoding()]",
    ),
    _act(
        "encoding",
        PREVENTED,
        "import sys",
        "[sys.getfilesystemencoding(), sys.stdout.encoding, sys.flags.utf8_mode]",
    ),
    _act("umask", PREVENTED, "import os", "os.umask(0o022)"),
    _act("variables", PREVENTED, "import os", "sorted(name for name in os.environ)"),
    _act("arguments", PREVENTED, "import sys", "list(sys.argv)"),
    _act(
        "blas-threads",
        PREVENTED,
        "import os",
        "[os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS']]",
    ),
    _act(
        "temporary-name", PREVENTED, "import os, tempfile", "os.path.basename(tempfile.mkdtemp())"
    ),
    _act("random-global", PREVENTED, _RANDOM, "random.random()", manifest='rng = "global"\n'),
    _act(
        "numpy-seeded", PREVENTED, _NUMPY, "float(numpy.random.rand())", manifest='rng = "global"\n'
    ),
    _module(
        "listing",
        PREVENTED,
        """
        import os, pathlib

        @hookimpl
        def act(value):
            place = pathlib.Path("files")
            place.mkdir()
            for number in sorted(range(40), key=lambda n: -n * 7 % 41):
                (place / f"{number:02}").touch()
            walked = [names for _, _, names in os.walk(place)]
            for names in (os.listdir(place), *walked, [p.name for p in place.glob("*")]):
                assert names == sorted(names)
            return [os.listdir(place), [e.name for e in os.scandir(place)], *walked,
                    [str(p) for p in place.glob("*")], [str(p) for p in place.iterdir()]]
        """,
    ),
    # -- what Python cannot see, and the sandbox closes --------------------------------------------
    _act(
        "raw-getrandom",
        CLOSED,
        "import ctypes",
        "ctypes.CDLL(None).getrandom(ctypes.create_string_buffer(8), 8, 0)",
    ),
    _act("raw-device", CLOSED, "import ctypes", "ctypes.CDLL(None).open(b'/dev/urandom', 0)"),
    _act("raw-random", CLOSED, "import ctypes", "ctypes.CDLL(None).open(b'/dev/random', 0)"),
    # -- what only calls that are made again can show ---------------------------------------------
    _act("address", REPLAY, "", "id(object())", traced=_traced("addresses")),
    _act(
        "object-order",
        REPLAY,
        "",
        "[o.__sizeof__() for o in {object(), object(), (), ''}]",
        traced=_traced("addresses", "*"),
    ),
    _act("working-directory", REPLAY, "import os", "os.getcwd()", traced=_traced("directory")),
    _act(
        "sqlite-random",
        REPLAY,
        "import sqlite3",
        "sqlite3.connect(':memory:').execute('select random()').fetchone()[0]",
    ),
    _act(
        "sqlite-now",
        REPLAY,
        "import sqlite3",
        "sqlite3.connect(':memory:').execute('select julianday()').fetchone()[0]",
    ),
    _act("raw-clock", REPLAY, "import ctypes", "ctypes.CDLL(None).time(None)"),
    _act(
        "memory-use",
        REPLAY,
        "import resource",
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss",
        traced=_traced("*"),
    ),
    _module(
        "file-time",
        REPLAY,
        """
        import os

        @hookimpl
        def act(value):
            with open("made", "w") as file:
                return os.fstat(file.fileno()).st_mtime_ns
        """,
    ),
    _module(
        "threads",
        REPLAY,
        """
        import concurrent.futures as futures

        @hookimpl
        def act(value):
            with futures.ThreadPoolExecutor(4) as pool:
                waiting = {pool.submit(sum, range(n * 1000)): n for n in range(8)}
                return [waiting[each] for each in futures.as_completed(waiting)]
        """,
        traced=_traced("*"),
    ),
    _module(
        "warm-state",
        REPLAY,
        """
        CALLS = []

        @hookimpl
        def act(value):
            CALLS.append(value)
            return len(CALLS)
        """,
        traced=_traced("call order", "fresh process"),
    ),
    _module(
        "decimal-context",
        REPLAY,
        """
        import decimal

        @hookimpl
        def act(value):
            third = str(decimal.Decimal(1) / 3)
            decimal.getcontext().prec += 1
            return third
        """,
        traced=_traced("call order", "fresh process"),
    ),
    _module(
        "first-asked",
        REPLAY,
        """
        KNOWN = {}

        @hookimpl
        def act(value):
            return KNOWN.setdefault("first", value)
        """,
        traced=_traced("call order", "fresh process"),
    ),
    _act(
        "processor-features",
        REPLAY,
        "from numpy._core._multiarray_umath import __cpu_features__",
        "[name for name, there in sorted(__cpu_features__.items()) if there]",
        traced=_traced("processor"),
    ),
    # -- what nothing on one machine can show ------------------------------------------------------
    _act("raw-memory", NOTHING, "import ctypes", "ctypes.CDLL(None).sysconf(85)"),
    _act("raw-listing", NOTHING, "import os, posix", "posix.listdir(os.path.dirname(os.__file__))"),
)
