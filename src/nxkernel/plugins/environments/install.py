"""Installing: everything that a plugin's environment needs, and what a worker in it needs of ours.

A worker speaks to its host through a few libraries. Under the application's own interpreter the
application's copies serve; another interpreter cannot load them, as one of them is compiled. It
gets an environment of its own with the very same versions: the runtime. The plugin never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import attrs

from nxkernel.plugins.environments.build import Builder
from nxkernel.plugins.environments.interpreters import Interpreter, choose, here
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import Environment, EnvironmentStore

__all__ = ["Installed", "install", "runtime_request", "verified"]

#: The distributions that the worker's side imports, and what these need.
RUNTIME = ("attrs", "cattrs", "msgspec", "pluggy", "typing-extensions")


@attrs.frozen(kw_only=True)
class Installed:
    """A plugin's environment, ready to be used."""

    environment: Environment
    #: What its worker needs of ours, or None where the application's own libraries serve.
    runtime: Environment | None
    #: Whether anything had to be built.
    built: bool = False


def runtime_request(interpreter: Interpreter, own: Interpreter) -> Request | None:
    """Return what a worker under *interpreter* needs of ours; None if that is our *own* one."""
    if interpreter.executable == own.executable:
        return None
    pins = tuple(sorted(f"{name}=={version(name)}" for name in RUNTIME))
    return Request(python=interpreter.executable, requirements=pins)


def install(
    request: Request, builder: Builder, environ: Mapping[str, str], *, python: str = ""
) -> Installed:
    """Install *request* and what its worker needs, unless it is there and unchanged.

    *python* names an interpreter in the place of the one that would be found.

    Raises:
        EnvironmentUnavailable: with the code of what is in the way.
    """
    interpreter = choose(request.python, environ, python)
    environment, built = builder.install(request, interpreter)
    runtime = None
    if (needed := runtime_request(interpreter, here())) is not None:
        builder.tell("the libraries that its worker shares with the host")
        runtime, also = builder.install(needed, interpreter)
        built = built or also
    return Installed(environment=environment, runtime=runtime, built=built)


def verified(
    request: Request, store: EnvironmentStore, *, own: Interpreter, who: str, command: str
) -> Installed:
    """Return what was installed for *request*, after every byte of it was checked.

    *own* is the interpreter of the common zygote. *who* begins an error's message, *command* is
    what would mend it.

    Raises:
        EnvironmentUnavailable: ``environment.missing``, ``environment.changed`` or
            ``environment.interpreter``.
    """
    environment = store.verified(request, who=who, command=command)
    needed = runtime_request(environment.interpreter, own)
    runtime = None if needed is None else store.verified(needed, who=who, command=command)
    return Installed(environment=environment, runtime=runtime)
