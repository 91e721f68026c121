"""Builds: from a request to an environment that is complete, hashed and closed to writing.

Nothing here runs while a kernel does. An environment is built beside its place and moved there
when it is whole; its record is written last. One build at a time, so that what an interrupted
build left behind can be told from one that is under way.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from nxkernel.errors import EnvironmentUnavailable
from nxkernel.plugins.environments import tree
from nxkernel.plugins.environments.interpreters import Interpreter
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import Environment, EnvironmentStore
from nxkernel.plugins.environments.tools import Tool, make_venv, precompile

__all__ = ["Builder", "alone", "discard"]

_TEMPORARY = ".build-"


@attrs.frozen(kw_only=True)
class Builder:
    """Builds environments into a store."""

    store: EnvironmentStore
    #: Asked for when it is needed: a request without requirements needs no tool.
    tool: Callable[[], Tool]
    allow_build: bool = False
    #: Told what is being done, for a person who waits.
    tell: Callable[[str], None] = lambda _: None

    def install(self, request: Request, interpreter: Interpreter) -> tuple[Environment, bool]:
        """Return the environment of *request*, and whether it had to be built.

        Raises:
            EnvironmentUnavailable: see `Tool.install`.
        """
        with alone(self.store):
            found = self.store.find(request)
            if found is not None and found.interpreter == interpreter:
                self.tell("checking what is there")
                if not self.store.changes(found):
                    return found, False
            try:
                return self._build(request, interpreter), True
            except OSError as error:
                raise EnvironmentUnavailable(
                    f"the environment cannot be written: {error.strerror}",
                    code="environment.build",
                ) from None

    def _build(self, request: Request, interpreter: Interpreter) -> Environment:
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.store.environments))
        try:
            prefix = folder / "env"
            self.tell(f"making a virtual environment of CPython {interpreter.version}")
            make_venv(interpreter, prefix)
            if request.requirements:
                self._fill(request, prefix / "bin" / "python", folder)
            return self._settle(request, interpreter, prefix)
        finally:
            discard(folder)

    def _fill(self, request: Request, python: Path, folder: Path) -> None:
        tool = self.tool()
        self.tell(f"installing {len(request.requirements)} requirements with {tool.name}")
        listed = folder / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in request.requirements), encoding="utf-8")
        tool.install(python, listed, allow_build=self.allow_build)

    def _settle(self, request: Request, interpreter: Interpreter, prefix: Path) -> Environment:
        self.tell("hashing")
        site = prefix / "lib" / interpreter.series / "site-packages"
        distributions = tree.prune(prefix, site)
        digest = tree.digest(tree.scan(prefix, interpreter))
        final = self.store.place(digest, interpreter)
        precompile(interpreter, prefix)
        tree.furnish(prefix, interpreter)
        tree.seal(prefix)
        environment = Environment(
            request=request,
            interpreter=interpreter,
            distributions=distributions,
            digest=digest,
            files=tree.scan(prefix, interpreter),
            prefix=final,
        )
        self._move(prefix, environment)
        self.store.record(environment)
        return environment

    def _move(self, prefix: Path, environment: Environment) -> None:
        """Put *prefix* in its place; another one there is either the same or a changed one."""
        final = environment.prefix
        if os.path.lexists(final):
            aside = prefix.parent / "aside"
            # A folder that is closed to writing cannot be moved below another one.
            os.chmod(final, 0o700)
            os.rename(final, aside)
        os.chmod(prefix, 0o700)
        os.rename(prefix, final)
        os.chmod(final, 0o555)


@contextmanager
def alone(store: EnvironmentStore) -> Iterator[None]:
    """Let nobody else build in *store* meanwhile, and remove what an interrupted build left."""
    for folder in (store.root, store.environments):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(store.root / ".lock", "w", encoding="ascii") as lock, _held(lock.fileno()):
        for left in sorted(store.environments.glob(f"{_TEMPORARY}*")):
            discard(left)
        yield


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # not POSIX: two builds at once cost time, and the last record counts
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def discard(folder: Path) -> None:
    """Remove *folder*, also where it is closed to writing; follow no link."""
    for each, _, _ in os.walk(folder):
        os.chmod(each, 0o700)
    shutil.rmtree(folder)
