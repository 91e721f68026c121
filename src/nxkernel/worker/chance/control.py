"""What the runner asks: guard this plugin, begin a call, end it, tell what was seen."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any, Final, NamedTuple

from nxkernel._seeds import draw
from nxkernel._streams import Streams
from nxkernel._wire import Guard
from nxkernel.worker.chance import arrays, clocks, generators, late, standard, tensors
from nxkernel.worker.chance.sources import CHANCE, CLOCK, ENVIRONMENT, Source
from nxkernel.worker.chance.watch import Finding, Watch

__all__ = ["Chance", "Outer"]

_ALL: Final = frozenset(generators.GENERATORS)
#: The operating system's own generators, as files.
_FILES: Final = frozenset({"/dev/urandom", "/dev/random", "/dev/hwrng"})


class Outer(NamedTuple):
    """What a call found when it began: put back when it ends."""

    seeded: set[str]
    states: list[tuple[str, Any]]


class Chance:
    """The randomness of one plugin."""

    def __init__(self, guard: Guard, *, code_dir: str, import_seed: bytes) -> None:
        modes = {CHANCE: guard.chance, CLOCK: guard.clocks, ENVIRONMENT: guard.environment}
        #: What sees the draws.
        self.watch = Watch(modes, code_dir=code_dir, import_seed=import_seed)  # type: ignore[arg-type]
        #: What was seen and not told yet: :meth:`news` takes it.
        self.findings: Collection[Finding] = self.watch.findings
        #: Whether the global generators are seeded for each call.
        self.seeds = guard.rng_global
        self._closed = guard.chance == "strict"
        self._import = Streams(import_seed)
        #: Tells what the call on top draws from.
        self.streams: Callable[[], Streams] = lambda: self._import
        #: The global generators that are seeded between two calls, while a call is under way that
        #: found some.
        self.resting: set[str] = set()
        self._names: tuple[Streams, random.Random] | None = None

    def install(self) -> None:
        """Guard this process from now on, before anything of the plugin is imported."""
        watch = self.watch
        if watch.watches(CHANCE):
            standard.install(watch)
            # A function: in a bound method the interpreter looks for an attribute in vain.
            sys.addaudithook(lambda event, arguments: self._hear(event, arguments))
            # Names of temporary files: the folder is the plugin's own, so that nobody collides.
            sequence: Any = tempfile._RandomNameSequence  # type: ignore[attr-defined]
            sequence.rng = property(lambda _: self._naming())
        else:
            standard.withdraw()
        if watch.watches(CHANCE) or self.seeds:
            late.install({"numpy.random": self._numpy, "torch": self._torch})
        if watch.watches(CLOCK):
            clocks.install_clocks(watch)
        if watch.watches(ENVIRONMENT):
            clocks.install_environment(watch)

    def loaded(self) -> None:
        """The plugin was imported and constructed: what it draws now, it draws in a call."""
        self.watch.loading = False

    def begin(self) -> None:
        """Begin a call that no other one is below.

        There is nothing to begin while no generator is seeded and none is to be.
        """
        self.resting, self.watch.seeded = self.watch.seeded, set()
        if self.seeds:
            self._seed_all()

    def end(self) -> None:
        """End a call that no other one was below.

        There is nothing to end while no generator is seeded and none is :attr:`resting`.
        """
        self.watch.seeded, self.resting = self.resting, set()

    def enter(self) -> Outer:
        """Begin a call on top of another one, whose generators must not notice."""
        watch = self.watch
        saved = sorted({"random", *watch.seeded})
        outer = Outer(watch.seeded, [(name, generators.save(name)) for name in saved])
        watch.seeded = set()
        if self.seeds:
            self._seed_all()
        return outer

    def leave(self, outer: Outer) -> None:
        """End a call that was on top of another one."""
        for name, state in outer.states:
            generators.restore(name, state)
        self.watch.seeded = outer.seeded

    def pause(self) -> Outer:
        """What the call on top would find again if it went on later: see :meth:`go_on`."""
        seeded = set(self.watch.seeded)
        return Outer(
            seeded, [(name, generators.save(name)) for name in sorted({"random", *seeded})]
        )

    def go_on(self, kept: Outer) -> None:
        """Let the call on top, just begun, draw on where :meth:`pause` was asked."""
        for name, state in kept.states:
            generators.restore(name, state)
        self.watch.seeded = set(kept.seeded)

    def news(self) -> list[Finding]:
        """Take the findings that were not told yet."""
        return self.watch.news()

    def _naming(self) -> random.Random:
        """The generator for names of temporary files, in the call on top."""
        streams = self.streams()
        if self._names is None or self._names[0] is not streams:
            self._names = (streams, random.Random(draw(streams.key, "tempfile")))
        return self._names[1]

    def _seed_all(self) -> None:
        streams = self.streams()
        for name in generators.GENERATORS:
            generators.seed(streams, name)
        self.watch.seeded = set(_ALL)

    def _numpy(self, module: ModuleType) -> None:
        if self.watch.watches(CHANCE):
            arrays.guard(self.watch)(module)
        self._arrived("numpy")

    def _torch(self, module: ModuleType) -> None:
        if self.watch.watches(CHANCE):
            tensors.guard(self.watch)(module)
        self._arrived("torch")

    def _arrived(self, name: str) -> None:
        """A library came that has a global generator: of entropy, or of a constant seed."""
        generators.seed(self.streams() if self.seeds else self._import, name)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str) or arguments[0] not in _FILES:
            return
        if arguments[1] is None and self._closed:
            # Perhaps the interpreter itself, which does without: a new `Random` looks for entropy
            # before it is handed its seed. `os.open` meets the sandbox.
            return
        self.watch.met(Source(CHANCE, f"open({arguments[0]!r})", "context.rng instead"))
