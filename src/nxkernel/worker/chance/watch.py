"""Who met what: the call site of each draw, told once, and refused where the mode says so."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Final

import attrs

from nxkernel._seeds import MAX_DRAW, draw
from nxkernel.errors import DeterminismError
from nxkernel.worker.chance.sources import CHANCE, Kind, Source

__all__ = ["PER_CALL", "Finding", "Watch"]

#: Different findings that one worker tells of, and those of one call.
_MOST: Final = 256
PER_CALL: Final = 16
#: Places in code that are known to have been told of already.
_PLACES: Final = 4096
#: Frames that are looked at for the plugin's own.
_DEEPEST: Final = 400
_LONGEST: Final = 200
_IMPORTS: Final = frozenset(
    {"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"}
)
#: Modules that draw for who asks them: nobody has to be told of the way through them.
_HELPERS: Final = ("importlib.", "numpy.random", "random", "secrets", "uuid")
_STANDARD: Final = sys.stdlib_module_names
_GUARD: Final = os.path.dirname(os.path.abspath(__file__))
_RUNTIME: Final = os.path.dirname(os.path.dirname(_GUARD))
#: The loop that makes the calls: what lies below it on the stack is none of the plugin's.
_LOOP: Final = os.path.join(_RUNTIME, "worker", "runner.py")


@attrs.frozen
class Finding:
    """A draw that no seed covers."""

    #: The function, as it would be typed.
    name: str
    #: ``file.py:12`` in the plugin's folder, or the module that it came through alone.
    site: str
    #: ``import`` or ``call``.
    when: str
    blocked: bool

    def told(self) -> tuple[str, str, str, bool]:
        """Return it as it may cross: bounded, and without lone surrogates."""
        site = self.site[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
        return self.name, site, self.when, self.blocked


@attrs.frozen
class _Place:
    """Where a draw was made: the plugin's innermost frame, or else the caller's."""

    site: str
    importing: bool
    #: Whether it is anything but the runtime's own doing.
    foreign: bool
    #: Whether it came by way of another function that draws.
    led: bool


class Watch:
    """Notes each draw of one plugin; *modes* are ``off``, ``warn`` or ``strict``, by kind."""

    def __init__(
        self, modes: Mapping[Kind, str], *, code_dir: str = "", import_seed: bytes = bytes(32)
    ) -> None:
        self._modes = dict(modes)
        self._root = os.path.join(code_dir, "") if code_dir else ""
        self._import_seed = import_seed
        self._served = 0
        #: Whether the plugin is being loaded: draws are allowed, and told.
        self.loading = True
        #: Global generators that were seeded in the call under way.
        self.seeded: set[str] = set()
        #: What was not told yet: :meth:`news` takes it.
        self.findings: deque[Finding] = deque()
        self._known: set[tuple[str, str, str]] = set()
        self._told: set[tuple[str, str]] = set()
        #: Places that need no second look, and their code, so that no other one has its number.
        self._passed: dict[tuple[int, int], CodeType] = {}

    def become(self, other: Watch) -> None:
        """Be *other* from now on, so that whoever tells this one tells that."""
        # One write, where to hand each teller another watch would copy the page on which it lies.
        self.__dict__ = other.__dict__

    def watches(self, kind: Kind) -> bool:
        """Whether anything of *kind* is to be seen at all."""
        return self._modes.get(kind, "off") != "off"

    def met(self, source: Source) -> bool:
        """Note that the caller's caller draws from *source*; True if what it gets must be seeded.

        That is the case for a draw at import in mode ``strict``: it is allowed, libraries make
        such draws, and the sandbox has closed where it would come from.

        Raises:
            DeterminismError: in mode ``strict``, in a call.
        """
        mode = self._modes.get(source.kind, "off")
        if mode == "off" or (source.generator and source.generator in self.seeded):
            return False
        caller = _beyond_stand_ins(sys._getframe(2))
        if source.kind != CHANCE and not _is_foreign(caller):
            return False
        # By identity: the hash of a code object goes through all of it.
        spot = (id(caller.f_code), caller.f_lasti)
        if spot in self._passed:
            return False
        place = self._place(caller)
        if not place.foreign:
            return False
        blocked = mode == "strict" and not place.importing
        self._note(source, place, blocked)
        if blocked:
            raise DeterminismError(_message(source, place))
        if mode == "warn" and len(self._passed) < _PLACES:
            self._passed[spot] = caller.f_code
        return mode == "strict"

    def reserve(self, size: int) -> bytes:
        """Return *size* bytes that follow from the run's seed, for a draw at import."""
        pieces = []
        for _ in range(-(-size // MAX_DRAW)):
            pieces.append(draw(self._import_seed, f"entropy/{self._served}", MAX_DRAW))
            self._served += 1
        return b"".join(pieces)[:size]

    def news(self) -> list[Finding]:
        """Take the findings that were not told yet, at most `PER_CALL` of them."""
        return [self.findings.popleft() for _ in range(min(PER_CALL, len(self.findings)))]

    # -- where --------------------------------------------------------------------------------

    def _place(self, caller: FrameType) -> _Place:
        own, importing = self._own_frame(caller)
        name = str(caller.f_globals.get("__name__", "?"))
        led = own is not caller and name.startswith(_HELPERS)
        mine = bool(self._root) and caller.f_code.co_filename.startswith(self._root)
        through = name if own is None or not (mine or led) else ""
        foreign = not caller.f_code.co_filename.startswith(_RUNTIME)
        return _Place(self._site(own, through), importing, foreign, led)

    def _own_frame(self, caller: FrameType) -> tuple[FrameType | None, bool]:
        """Return the plugin's innermost frame, and whether something is being imported."""
        frame: FrameType | None = caller
        own, importing, depth = None, self.loading, 0
        while frame is not None and depth < _DEEPEST:
            name = frame.f_code.co_filename
            if name in _IMPORTS:
                importing = True
            elif self._root and own is None and name.startswith(self._root):
                own = frame
            elif name == _LOOP:
                break
            frame, depth = frame.f_back, depth + 1
        return own, importing

    def _site(self, own: FrameType | None, through: str) -> str:
        if own is None:
            return through
        site = f"{own.f_code.co_filename[len(self._root) :]}:{own.f_lineno}"
        return f"{site}, through {through}" if through else site

    def _note(self, source: Source, place: _Place, blocked: bool) -> None:
        where = (place.site, "import" if place.importing else "call")
        # `uuid4` asks `urandom`: what was told of a line is not told again of what it leads to.
        if place.led and where in self._told:
            return
        if (source.name, *where) in self._known or len(self._known) >= _MOST:
            return
        self._told.add(where)
        self._known.add((source.name, *where))
        self.findings.append(Finding(source.name, *where, blocked))


def _beyond_stand_ins(frame: FrameType) -> FrameType:
    """Return the first frame, from *frame* outwards, that is none of the guard's own."""
    while frame.f_code.co_filename.startswith(_GUARD) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_foreign(caller: FrameType) -> bool:
    """Whether *caller* is neither the standard library, nor the runtime."""
    name = str(caller.f_globals.get("__name__", ""))
    top = name.partition(".")[0]
    return name == "__main__" or (top not in _STANDARD and top != "nxkernel")


def _message(source: Source, place: _Place) -> str:
    return (
        f"{place.site}: {source.name} follows from no seed, so that no two runs would be the "
        f"same; write {source.instead}"
    )
