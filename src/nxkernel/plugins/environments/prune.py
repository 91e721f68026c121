"""Pruning: which environments nobody asks for any more, and their removal beside running kernels.

A kernel holds each environment that its workers import from, by a shared lock on the environment's
folder; who prunes takes that lock alone, or leaves the environment where it is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import attrs

from nxkernel._system import files
from nxkernel.plugins.environments.build import alone, discard
from nxkernel.plugins.environments.install import runtime_request
from nxkernel.plugins.environments.interpreters import Interpreter
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import Environment, EnvironmentStore
from nxkernel.types import Digest

__all__ = ["Kept", "Users", "kept", "prune"]

#: How a folder is called on its way out; the next build removes what is left of it.
_LEAVING = ".build-pruned-"


@attrs.frozen(kw_only=True)
class Users:
    """Who asks for environments."""

    #: What manifests ask for, each with the ids of the plugins.
    requests: Mapping[Request, Sequence[str]] = attrs.field(factory=dict)
    #: Digests that lockfiles record, each with the ids of the plugins.
    digests: Mapping[Digest, Sequence[str]] = attrs.field(factory=dict)

    def of(self, environment: Environment) -> set[str]:
        """Return the ids of the plugins that *environment* is there for."""
        return {
            *self.requests.get(environment.request, ()),
            *self.digests.get(environment.digest, ()),
        }


@attrs.frozen(kw_only=True)
class Kept:
    """One environment that is kept, by one record."""

    environment: Environment
    #: The file that names it.
    record: Path
    #: Ids of the plugins that it is there for, sorted; none: nobody asks for it.
    users: tuple[str, ...]
    #: Whether it holds what workers of another interpreter share with the host.
    runtime: bool

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.environment.files.values())


def kept(store: EnvironmentStore, users: Users, own: Interpreter) -> list[Kept]:
    """Return every environment in *store*, by record; *own* is the application's interpreter."""
    found = list(store.records())
    indirect: dict[Request, set[str]] = {}
    for _, each in found:
        needed = runtime_request(each.interpreter, own)
        if needed is not None and needed != each.request:
            indirect.setdefault(needed, set()).update(users.of(each))
    return [
        Kept(
            environment=each,
            record=record,
            users=tuple(sorted(users.of(each) | indirect.get(each.request, set()))),
            runtime=each.request in indirect,
        )
        for record, each in found
    ]


def prune(store: EnvironmentStore, going: Collection[Kept]) -> list[Kept]:
    """Remove *going* from *store*, and what no record names; return those that a kernel uses.

    An environment goes with its last record. Nothing is built meanwhile.
    """
    with alone(store):
        records = {each.record for each in going}
        staying = {each.prefix for record, each in store.records() if record not in records}
        used = [each for each in going if not _taken_out(each, staying)]
        named = {each.prefix for _, each in store.records()}
        for folder in sorted(store.environments.iterdir()):
            if folder not in named and folder.is_dir() and not folder.is_symlink():
                _is_removed(folder, None)
    return used


def _taken_out(going: Kept, staying: set[Path]) -> bool:
    folder = going.environment.prefix
    if folder in staying or not folder.is_dir():
        going.record.unlink(missing_ok=True)
        return True
    return _is_removed(folder, going.record)


def _is_removed(folder: Path, record: Path | None) -> bool:
    """Remove *folder*, and *record* before it; False if a kernel holds it."""
    handle = os.open(folder, os.O_RDONLY | files.DIRECTORY | files.NOFOLLOW | files.CLOEXEC)
    try:
        if not files.try_lock(handle):
            return False
        if record is not None:
            record.unlink(missing_ok=True)
        leaving = folder.with_name(_LEAVING + folder.name)
        os.rename(folder, leaving)
        discard(leaving)
        return True
    finally:
        os.close(handle)
