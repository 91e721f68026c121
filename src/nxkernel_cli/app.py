"""The embedder's application, as ``--app module:factory`` or pyproject.toml names it."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nxkernel.kernel import Kernel

__all__ = ["app_option", "composed", "load_app"]

_EXAMPLE = "for example --app screenmem.app:build_kernel"

#: ``--app``, the same for every command that needs hookspecs.
app_option: Callable[[Any], Any] = click.option(
    "--app",
    metavar="MODULE:FACTORY",
    help="The application: what makes its kernel [default: tool.nxkernel.app in pyproject.toml].",
)


def load_app(name: str | None) -> AbstractContextManager[Kernel]:
    """Return what the factory *name* makes: a kernel, or a context manager that gives one.

    The current folder goes first on the import path, as with ``python -m``.

    Raises:
        UsageError: when there is no name, it names nothing, or the factory makes something else.
        ClickException: when the factory raises.
    """
    name = name or _configured(Path("pyproject.toml"))
    made = _made(name, _imported(name))
    if not isinstance(made, AbstractContextManager):
        raise click.UsageError(f"{name} made a {type(made).__name__}, not a Kernel")
    return made


@contextmanager
def composed(name: str | None) -> Iterator[Kernel]:
    """Give the application's kernel for what it is made of; it is not booted if it need not be.

    Raises:
        ClickException: as :func:`load_app`.
    """
    from nxkernel.kernel import Kernel

    made = load_app(name)
    if isinstance(made, Kernel):
        yield made
        return
    with made as kernel:
        yield kernel


def _made(name: str, factory: Any) -> Any:
    """Call *factory*; what its own code raises is no fault of the command line.

    Raises:
        ClickException: when it raises anything but an error of nxkernel.
    """
    from nxkernel.errors import NxError

    try:
        return factory() if callable(factory) else factory
    except NxError:
        raise
    except Exception as error:
        raise click.ClickException(f"{name} raised {type(error).__name__}: {error}") from error


def _configured(path: Path) -> str:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = {}
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None
    name = document.get("tool", {}).get("nxkernel", {}).get("app")
    if not isinstance(name, str):
        raise click.UsageError(
            f"which application? Give --app MODULE:FACTORY, {_EXAMPLE}, or [tool.nxkernel] app in "
            "pyproject.toml"
        )
    return name


def _imported(name: str) -> Any:
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise click.UsageError(f"{name!r} is not MODULE:FACTORY; {_EXAMPLE}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        target = importlib.import_module(module)
        for part in path.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise click.UsageError(f"{name} cannot be imported: {error}") from error
    return target
