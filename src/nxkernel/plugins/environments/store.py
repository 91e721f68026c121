"""The store: environments in a folder of the user's cache, and one record for each request.

    records/<digest of the request>.json   what the request was resolved to, written last
    environments/<name>/                   virtual environments, read-only, by what they hold

A record is replaced in one step and names an environment that is complete, so there is no moment
at which half of one could be used.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nxkernel import _canonical
from nxkernel.errors import EnvironmentUnavailable, KernelConfigError
from nxkernel.plugins.environments import tree
from nxkernel.plugins.environments.interpreters import Interpreter
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.tree import Distribution, File
from nxkernel.types import Digest

__all__ = ["Environment", "EnvironmentStore", "default_root"]

#: Of the record's format.
VERSION = 1
_NAMED_CHANGES = 3


def default_root(environ: Mapping[str, str]) -> Path:
    """Return the folder of environments that a user has unless another is named."""
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    if sys.platform == "darwin":
        cache = home / "Library" / "Caches"
    else:
        cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "nxkernel" / "environments"


@attrs.frozen(kw_only=True)
class Environment:
    """An installed environment, as its record has it."""

    request: Request
    interpreter: Interpreter
    distributions: tuple[Distribution, ...]
    #: Over every file that a distribution owns; the same for the same wheels on any machine.
    digest: Digest
    files: Mapping[str, File] = attrs.field(repr=False)
    #: Its folder, absolute.
    prefix: Path

    @property
    def site(self) -> Path:
        """The folder that its packages are imported from."""
        return self.prefix / "lib" / self.interpreter.series / "site-packages"

    @property
    def python(self) -> Path:
        """The interpreter, as this environment calls it."""
        return self.prefix / "bin" / "python"


class EnvironmentStore:
    """The environments below one folder, for hosts whose own interpreter has one ABI."""

    def __init__(self, root: Path, abi: str) -> None:
        """Look below *root*, which may be missing: nothing is installed then.

        Raises:
            KernelConfigError: when others than its owner, this user, may write to it.
        """
        self.root = Path(os.path.abspath(root))
        self.abi = abi
        if os.path.lexists(self.root):
            _check_private(self.root)

    @property
    def environments(self) -> Path:
        """The folder of virtual environments."""
        return self.root / "environments"

    def find(self, request: Request) -> Environment | None:
        """Return what *request* was resolved to, unchecked, or None if it was not installed."""
        try:
            document = json.loads(self._record(request).read_bytes())
            return _environment(document, request, self.environments)
        except (OSError, ValueError, KeyError, TypeError):
            # A record that cannot be read is none: installing again replaces it.
            return None

    def records(self) -> Iterator[tuple[Path, Environment]]:
        """Yield each record's file and what it says, unchecked; also those of other hosts."""
        for path in sorted(self.root.glob("records/*.json")):
            try:
                document = json.loads(path.read_bytes())
                asked = document["request"]
                request = Request(python=asked["python"], requirements=tuple(asked["requirements"]))
                yield path, _environment(document, request, self.environments)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # `find` takes it for none as well.

    def signature(self, request: Request) -> tuple[int, ...] | None:
        """Return what changes whenever *request* is installed anew, or None before that."""
        try:
            found = self._record(request).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def record(self, environment: Environment) -> None:
        """Make *environment* what its request is resolved to from now on."""
        path = self._record(environment.request)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(json.dumps(_document(environment), indent=1).encode("utf-8"))
        os.replace(beside, path)

    def place(self, digest: Digest, interpreter: Interpreter) -> Path:
        """Return where an environment with these files belongs: it is named by what it holds."""
        content = _canonical.encode([digest, interpreter.executable, interpreter.version])
        name = _canonical.digest(content, tree.DOMAIN).removeprefix("sha256:")[:32]
        return self.environments / name

    def verified(self, request: Request, *, command: str, who: str) -> Environment:
        """Return what *request* was resolved to, after every byte of it was read and compared.

        *command* is what would install it; *who* begins the message.

        Raises:
            EnvironmentUnavailable: ``environment.missing`` or ``environment.changed``.
        """
        found = self.find(request)
        if found is None or not found.prefix.is_dir():
            raise EnvironmentUnavailable(
                f"{who}: its environment is not installed; run `{command}`"
            )
        if not os.access(found.interpreter.executable, os.X_OK):
            raise EnvironmentUnavailable(
                f"{who}: the interpreter of its environment is gone; run `{command}`",
                code="environment.interpreter",
                details={"executable": found.interpreter.executable},
            )
        if changed := self.changes(found):
            named = "; ".join(changed[:_NAMED_CHANGES])
            more = len(changed) - _NAMED_CHANGES
            raise EnvironmentUnavailable(
                f"{who}: its environment is not what was installed: {named}"
                f"{f'; and {more} more' if more > 0 else ''}. Run `{command}`",
                code="environment.changed",
                details={"changes": changed[:100]},
            )
        return found

    def changes(self, environment: Environment) -> list[str]:
        """Say how *environment* differs from its record."""
        if tree.digest(environment.files) != environment.digest:
            return ["its record contradicts itself"]
        return tree.changes(environment.prefix, environment.interpreter, environment.files)

    def _record(self, request: Request) -> Path:
        digits = request.digest(self.abi).removeprefix("sha256:")
        return self.root / "records" / f"{digits}.json"


def _check_private(root: Path) -> None:
    found = root.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & 0o022:
        raise KernelConfigError(
            f"the folder of environments ({root.name}) must belong to this user and be writable by "
            "nobody else; name another one with Hosting(environments=), or change owner and mode"
        )


def _document(environment: Environment) -> dict[str, Any]:
    return {
        "schema_version": VERSION,
        "request": attrs.asdict(environment.request),
        "interpreter": attrs.asdict(environment.interpreter),
        "distributions": [attrs.asdict(each) for each in environment.distributions],
        "digest": environment.digest,
        "folder": environment.prefix.name,
        "files": {name: [file.size, file.sha256] for name, file in environment.files.items()},
    }


def _environment(document: Any, request: Request, folder: Path) -> Environment:
    """Read a record back.

    Raises:
        ValueError, KeyError, TypeError: when it is not one of this version and this request.
    """
    asked = document["request"]
    same = (asked["python"], tuple(asked["requirements"])) == (request.python, request.requirements)
    if document["schema_version"] != VERSION or not same or "/" in document["folder"]:
        raise ValueError(document["schema_version"])
    interpreter = document["interpreter"]
    return Environment(
        request=request,
        interpreter=Interpreter(**{**interpreter, "libraries": tuple(interpreter["libraries"])}),
        distributions=tuple(Distribution(**each) for each in document["distributions"]),
        digest=Digest(document["digest"]),
        files={name: File(size, sha256) for name, (size, sha256) in document["files"].items()},
        prefix=folder / document["folder"],
    )
