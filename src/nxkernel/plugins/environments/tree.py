"""Trees: the files of an environment, reduced to what distributions own, hashed, closed to writing.

The digest is over paths and contents alone: the same wheels give the same digest, whichever tool
installed them and wherever they lie. So whatever names a place or a tool goes: console scripts
begin with the path of an interpreter, and installers leave notes beside the metadata.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import attrs

from nxkernel import _canonical
from nxkernel.errors import EnvironmentUnavailable
from nxkernel.plugins.environments.interpreters import Interpreter
from nxkernel.types import Digest

__all__ = ["Distribution", "File", "changes", "digest", "furnish", "prune", "scan", "seal"]

DOMAIN = b"nx.environment.v1\0"
#: What installers write beside a distribution's own metadata.
_NOTES = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"})


@attrs.frozen(order=True)
class File:
    """One file of an environment."""

    size: int
    #: SHA-256 of the bytes, 64 hexadecimal digits.
    sha256: str


@attrs.frozen(kw_only=True, order=True)
class Distribution:
    """An installed distribution."""

    name: str
    version: str
    #: Over the files that it owns.
    digest: Digest


# -- reducing ------------------------------------------------------------------------------------


def prune(prefix: Path, site: Path) -> tuple[Distribution, ...]:
    """Remove what no distribution owns, and return the distributions; *site* lies in *prefix*.

    Raises:
        EnvironmentUnavailable: ``environment.build`` for a distribution without a list of files,
            or with a file outside of *prefix*.
    """
    owned = {info: _owned(prefix, site, info) for info in sorted(site.glob("*.dist-info"))}
    keep = {path for paths in owned.values() for path in paths}
    for path in _everything(prefix):
        if path not in keep or _is_script(prefix, path):
            path.unlink()
    found = tuple(_distribution(prefix, site, info, paths) for info, paths in owned.items())
    _drop_empty(prefix)
    return tuple(sorted(found))


def _owned(prefix: Path, site: Path, info: Path) -> list[Path]:
    try:
        rows = list(csv.reader((info / "RECORD").read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError):
        raise _unusable(info, "has no list of its files") from None
    found = []
    for row in rows:
        path = Path(os.path.normpath(site / row[0])) if row else prefix
        if prefix not in path.parents:
            raise _unusable(info, "has files outside of the environment")
        if path.suffix != ".pyc" and not (path.parent == info and path.name in _NOTES):
            found.append(path)
    return found


def _unusable(info: Path, reason: str) -> EnvironmentUnavailable:
    return EnvironmentUnavailable(
        f"the distribution {info.name.removesuffix('.dist-info')} {reason}; use another version",
        code="environment.build",
    )


def _everything(prefix: Path) -> Iterator[Path]:
    """Every file and link, and no folder."""
    for folder, folders, names in os.walk(prefix):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        yield from (Path(folder, name) for name in (*names, *links))


def _is_script(prefix: Path, path: Path) -> bool:
    if path.parent.name not in ("bin", "Scripts") or path.parent.parent != prefix:
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _distribution(prefix: Path, site: Path, info: Path, owned: list[Path]) -> Distribution:
    """Write the notes anew, the same whoever installed it, and add up what is there."""
    (info / "INSTALLER").write_text("nxkernel\n", encoding="utf-8")
    present = sorted(path for path in {*owned, info / "INSTALLER"} if path.is_file())
    files = {_relative(path, prefix): _file(path) for path in present}
    rows = [
        f"{_quoted(os.path.relpath(path, site))},sha256={_urlsafe(file.sha256)},{file.size}\n"
        for path, file in zip(present, files.values(), strict=True)
    ]
    record = info / "RECORD"
    record.write_text("".join([*rows, f"{info.name}/RECORD,,\n"]), encoding="utf-8")
    name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
    return Distribution(name=name.replace("_", "-").lower(), version=version, digest=digest(files))


def _relative(path: Path, prefix: Path) -> str:
    return path.relative_to(prefix).as_posix()


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"' if set(path) & {",", '"'} else path


def _urlsafe(sha256: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode("ascii")


def _drop_empty(prefix: Path) -> None:
    for folder, _, _ in os.walk(prefix, topdown=False):
        if folder != os.fspath(prefix) and not os.listdir(folder):
            os.rmdir(folder)


# -- furnishing and closing ----------------------------------------------------------------------


def furnish(prefix: Path, interpreter: Interpreter) -> None:
    """Make the pruned *prefix* a virtual environment of *interpreter* again."""
    (prefix / "bin").mkdir(exist_ok=True)
    for name, content in _furniture(interpreter).items():
        if name.startswith("bin/"):
            (prefix / name).symlink_to(content)
        else:
            (prefix / name).write_text(content, encoding="utf-8")


def _furniture(interpreter: Interpreter) -> dict[str, str]:
    """What belongs to no distribution: files and their text, links and where they lead."""
    text = (
        f"home = {os.path.dirname(interpreter.executable)}\n"
        "include-system-site-packages = false\n"
        f"version = {interpreter.version}\n"
    )
    return {
        "pyvenv.cfg": text,
        "bin/python": interpreter.executable,
        "bin/python3": "python",
        f"bin/{interpreter.series}": "python",
    }


def seal(prefix: Path) -> None:
    """Close every file and folder to writing."""
    for folder, _, names in os.walk(prefix, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                executable = os.stat(path).st_mode & stat.S_IXUSR
                os.chmod(path, 0o555 if executable else 0o444)
        os.chmod(folder, 0o555)


# -- hashing -------------------------------------------------------------------------------------


def digest(files: Mapping[str, File]) -> Digest:
    """Return the digest over paths, sizes and contents.

    Compiled modules are left out: they follow from the sources and from the very interpreter, so
    they differ between machines. They are compared with the record all the same.
    """
    names = sorted(name for name in files if not name.endswith(".pyc"))
    rows = [[name, files[name].size, bytes.fromhex(files[name].sha256)] for name in names]
    return _canonical.digest(_canonical.encode(rows), DOMAIN)


def scan(prefix: Path, interpreter: Interpreter) -> dict[str, File]:
    """Return every file of a furnished environment by its path, without the furniture."""
    furniture = _furniture(interpreter)
    paths = {_relative(path, prefix): path for path in _everything(prefix)}
    return {name: _file(paths[name]) for name in sorted(paths) if name not in furniture}


def _file(path: Path) -> File:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return File(os.fstat(file.fileno()).st_size, sha256)


def changes(prefix: Path, interpreter: Interpreter, files: Mapping[str, File]) -> list[str]:
    """Say how the environment at *prefix* differs from what it was; all of its bytes are read."""
    try:
        return [*_misfurnished(prefix, interpreter), *_differences(prefix, interpreter, files)]
    except OSError as error:
        where = PurePosixPath(os.path.relpath(error.filename or prefix, prefix))
        return [f"{where} cannot be read"]


def _misfurnished(prefix: Path, interpreter: Interpreter) -> Iterator[str]:
    for name, content in _furniture(interpreter).items():
        path = prefix / name
        is_link = path.is_symlink()
        if not os.path.lexists(path):
            yield f"{name} is missing"
        elif is_link != name.startswith("bin/") or content != (
            os.readlink(path) if is_link else path.read_text(encoding="utf-8", errors="replace")
        ):
            yield f"{name} was changed"


def _differences(
    prefix: Path, interpreter: Interpreter, files: Mapping[str, File]
) -> Iterator[str]:
    furniture = _furniture(interpreter)
    there = {_relative(path, prefix): path for path in _everything(prefix)}
    for name in sorted({*there, *files} - furniture.keys()):
        path = there.get(name)
        if path is None:
            yield f"{name} is missing"
        elif name not in files:
            yield f"{name} was added"
        elif not stat.S_ISREG(path.lstat().st_mode) or _file(path) != files[name]:
            yield f"{name} was changed"
    for folder, _, _ in os.walk(prefix):
        mode = os.lstat(folder)
        if mode.st_uid not in (os.geteuid(), 0) or mode.st_mode & 0o022:
            yield f"{PurePosixPath(os.path.relpath(folder, prefix))} may be written by others"
