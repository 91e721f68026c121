"""Says which grant a refused access lacks, and what to write for it.

A worker tells what was refused: a kind and a target, its word. The names for places, what the
manifest asks for already, and what exists on this machine are known here and not there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from nxkernel._wire import Denied
from nxkernel.host.beside import SUFFIXES
from nxkernel.settings import Permissions
from nxkernel.types import Outcome

__all__ = ["Advice", "Advisor"]

#: Longest target that is repeated, in characters, and most denials of one call.
_LONGEST: Final = 512
_MOST: Final = 16
#: Why a database in WAL mode cannot be read where nobody has it open.
_NOT_OPEN: Final = (
    "it is in WAL mode, and they are not there; have the application open the database before the "
    "plugin starts and keep it open, or open it as file:PATH?mode=ro&immutable=1 if nobody writes"
)
#: Nothing below is ever granted as a path.
_NEVER: Final = ("/proc", "/sys", "/dev")


@attrs.frozen(kw_only=True)
class Advice:
    """One refused access, and what would allow it."""

    kind: str
    #: A path with a template where it lies under one, ``host:port``, a program, or empty.
    target: str
    #: Whether the error that ended the call tells of it; else the plugin went on without.
    raised: bool
    #: What the plugin tried, in words.
    tried: str
    #: The line for ``[permissions]`` of the manifest, or None where nothing grants it.
    line: str | None
    #: How the application grants it, or why nobody can.
    then: str

    def text(self) -> str:
        """Return one clause for the end of an error message."""
        if self.line is None:
            return f"the sandbox refused {self.tried}: {self.then}"
        return (
            f"the sandbox refused {self.tried}, which nobody granted: put {self.line} below "
            f"[permissions] in the manifest, and grant it in the application, {self.then}"
        )

    def fact(self) -> dict[str, Any]:
        """Return it as a plain map, for details and for the audit."""
        return {
            "kind": self.kind,
            "target": self.target,
            "raised": self.raised,
            "manifest": self.line,
        }


@attrs.frozen(kw_only=True)
class Advisor:
    """What has to be known of one plugin to say which grant it lacks."""

    plugin: str
    level: str
    #: Path of each template, by its name.
    templates: Mapping[str, str]
    #: What the manifest asks for.
    requested: Permissions
    #: Places that hold code or the host's own files: no plugin may write there.
    closed: Sequence[str] = ()

    def advise(self, denied: Denied) -> list[Advice]:
        """Return what is to be said of a worker's account; what makes no sense is left out."""
        told = [(pair, True) for pair in denied.raised] + [(pair, False) for pair in denied.seen]
        found = (self._advice(kind, target, raised) for (kind, target), raised in told[:_MOST])
        return [advice for advice in found if advice is not None]

    def explain(self, outcome: Outcome, advice: Sequence[Advice]) -> Outcome:
        """Return a failed *outcome* whose message and details name the grants that lack."""
        if outcome.error is None or not advice:
            return outcome
        hints = [each.text() for each in advice if each.raised]
        error = attrs.evolve(
            outcome.error,
            message="; ".join([self.named(outcome.error.message), *hints[:2]]),
            details={**outcome.error.details, "denied": [each.fact() for each in advice]},
        )
        return attrs.evolve(outcome, error=error)

    def named(self, text: str) -> str:
        """Return *text* with templates for the places that they stand for."""
        for name, place in self._longest_first():
            text = text.replace(place, f"{{{name}}}")
        return text

    def _longest_first(self) -> list[tuple[str, str]]:
        return sorted(self.templates.items(), key=lambda item: (-len(item[1]), item[0]))

    def _advice(self, kind: str, target: str, raised: bool) -> Advice | None:
        explain = _KINDS.get(kind)
        target = _clean(target)
        if explain is None or (kind == "read" and not self._is_there(target)):
            return None
        tried, permission, value, then = explain(self, target)
        shown = self._template(target) if target.startswith("/") else target
        line = self._line(permission, value) if permission else None
        if permission:
            then = f"grants={{{self.plugin!r}: nx.Grant({permission}=({value!r},))}}"
        return Advice(
            kind=kind, target=shown, raised=raised, tried=tried, line=line, then=then or ""
        )

    def _is_there(self, path: str) -> bool:
        """At level ``isolated`` a worker cannot tell what is closed from what does not exist."""
        return self.level != "isolated" or os.path.lexists(path)

    def _line(self, permission: str, value: str) -> str:
        asked = getattr(self.requested, permission)
        values = [*asked, *([] if value in asked else [value])]
        return f"{permission} = [{', '.join(map(_quoted, values))}]"

    def _template(self, path: str) -> str:
        """Return *path* as a manifest should have it: below a template where it lies there."""
        for name, place in self._longest_first():
            if path == place or path.startswith(place + "/"):
                return f"{{{name}}}{path[len(place) :]}"
            if path.startswith(place) and path[len(place) :] in SUFFIXES:
                return f"{{{name}}}"
        return path

    # -- by kind: (tried, permission, value, why not) ----------------------------------------

    def _read(self, path: str) -> _Explained:
        return self._path("read", f"reading {self._template(path)}", path)

    def _write(self, path: str) -> _Explained:
        tried = f"writing {self._template(path)}"
        template = self._template(path)
        if any(_overlap(path, closed) for closed in self.closed) or template.startswith(
            ("{plugin_dir}", "{audit_db_path}")
        ):
            return tried, "", "", "no plugin may write there; keep files in {run_dir}"
        return self._path("write", tried, path)

    def _path(self, permission: str, tried: str, path: str) -> _Explained:
        if path == "/":
            return tried, "", "", "the whole machine is never granted; ask for one folder"
        if any(path == closed or path.startswith(closed + "/") for closed in _NEVER):
            return tried, "", "", "processes, kernel settings and devices are never granted"
        return tried, permission, self._template(path), ""

    def _beside_to_read(self, path: str) -> _Explained:
        tried = self._beside(path)
        if os.path.exists(path + "-shm"):
            return tried, "read", self._template(os.path.dirname(path)), ""
        return tried, "", "", _NOT_OPEN

    def _beside_to_write(self, path: str) -> _Explained:
        return self._beside(path), "write", self._template(os.path.dirname(path)), ""

    def _beside(self, path: str) -> str:
        return f"the files that SQLite keeps beside {self._template(path)}"

    def _mode(self, path: str) -> _Explained:
        tried = f"changing mode, owner or times of {self._template(path)}"
        return tried, "", "", "nothing grants that outside of the plugin's own folders"

    def _connect(self, address: str) -> _Explained:
        port = address.rpartition(":")[2]
        return f"connecting to {address}", "network", f"tcp:{port}", ""

    def _resolve(self, address: str) -> _Explained:
        host, _, port = address.rpartition(":")
        tried = f"looking up the address of {host}"
        why = "no name is resolved in a worker; have the application pass an address"
        if port.isdigit():
            why += f", and ask for {self._line('network', f'tcp:{port}')}"
        return tried, "", "", why

    def _socket(self, kind: str) -> _Explained:
        if kind == "tcp":
            return "making a TCP socket, before it had an address", "network", "tcp:PORT", ""
        return "making a socket", "", "", "only TCP can be granted"

    def _listen(self, address: str) -> _Explained:
        port = address.rpartition(":")[2]
        tried = f"listening on {address}"
        return tried, "network", f"listen:{'PORT' if port == '0' else port}", ""

    def _unix(self, path: str) -> _Explained:
        return f"using the socket {path}", "", "", "sockets of this machine are never granted"

    def _exec(self, program: str) -> _Explained:
        found = program if "/" in program else shutil.which(program, path="/usr/bin:/bin")
        return f"starting {program}", "exec", found or f"/path/to/{program}", ""

    def _fork(self, _: str) -> _Explained:
        return "forking", "exec", "/path/to/program", ""

    def _signal(self, _: str) -> _Explained:
        return "a signal to another process", "", "", "nothing grants that"


#: What was tried, in words; the permission and its value, or ``""`` and why there is none.
_Explained = tuple[str, str, str, str]
_KINDS: Final[Mapping[str, Callable[[Advisor, str], _Explained]]] = {
    "read": Advisor._read,
    "write": Advisor._write,
    "database to read": Advisor._beside_to_read,
    "database to write": Advisor._beside_to_write,
    "mode": Advisor._mode,
    "connect": Advisor._connect,
    "resolve": Advisor._resolve,
    "socket": Advisor._socket,
    "listen": Advisor._listen,
    "unix": Advisor._unix,
    "exec": Advisor._exec,
    "fork": Advisor._fork,
    "signal": Advisor._signal,
}


def _overlap(path: str, other: str) -> bool:
    return path == other or path.startswith(other + "/")


def _clean(target: str) -> str:
    """A worker's word: bounded, and without what would steer a terminal."""
    return "".join(c if c.isprintable() else "�" for c in target[:_LONGEST])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
