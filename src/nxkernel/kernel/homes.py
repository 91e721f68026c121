"""Homes: which zygote forks a plugin's worker, and which libraries it finds there.

Most plugins live with the application's interpreter and libraries. One that asks for an environment
of its own gets that and nothing else: under the application's interpreter its worker is forked from
the common zygote, under another one from a zygote of that interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import attrs

import nxkernel
from nxkernel._canonical import digest, encode
from nxkernel._once import once
from nxkernel.host.launch import Environment
from nxkernel.host.zygote import Profile
from nxkernel.kernel.machine import CONFINING
from nxkernel.kernel.profiles import code_folders, default_profile
from nxkernel.plugins.environments.holding import Holds
from nxkernel.plugins.environments.install import Installed, verified
from nxkernel.plugins.environments.interpreters import Interpreter, ask, here
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import EnvironmentStore, default_root
from nxkernel.settings import Hosting
from nxkernel.types import Digest, Level

__all__ = ["Home", "Homes"]

CODE = b"nx.code.v1\0"


@attrs.frozen(kw_only=True)
class Home:
    """Where one plugin's code runs."""

    #: What its workers may read of libraries; resolved, none below another.
    read: tuple[str, ...]
    #: The plugin's own libraries, or None for the application's.
    installed: Installed | None = None

    @property
    def environment(self) -> Environment | None:
        """What its workers are told of their libraries."""
        if self.installed is None:
            return None
        found = self.installed.environment
        return Environment(prefix=str(found.prefix), python=str(found.python), site=str(found.site))

    @property
    def names(self) -> tuple[str, ...]:
        """By what names its interpreter asks for its library; not resolved."""
        return self.installed.environment.interpreter.libraries if self.installed else ()

    @property
    def python(self) -> str | None:
        """The version of its interpreter, or None for the application's."""
        return self.installed.environment.interpreter.version if self.installed else None

    def code_digest(self, tree: Digest) -> Digest:
        """Return the digest over every file that runs: the plugin's, and its environment's."""
        if self.installed is None:
            return tree
        return digest(encode([tree, self.installed.environment.digest]), CODE)


class Homes:
    """Finds the homes of the plugins of one kernel."""

    def __init__(self, hosting: Hosting, level: Level, *, guarded: bool = False) -> None:
        """*guarded*: whether the randomness of most plugins is seen."""
        self._hosting = hosting
        self._guarded = guarded
        self._level = level
        #: By request, and by what was recorded for it when its bytes were checked.
        self._known: dict[tuple[Request, object], Home] = {}
        #: Of plugins with the application's libraries: by granted port, and by fixed addresses.
        self._profiles: dict[tuple[bool, bool], Profile] = {}
        self._holds = Holds()

    @once
    def common(self) -> Home:
        """The home of every plugin that asks for no other; looked up once."""
        return Home(read=self._readable(self._folders))

    @once
    def _folders(self) -> tuple[str, ...]:
        """From where workers import packages."""
        return code_folders()

    def profile(
        self, home: Home, *, network: bool = False, fixed_addresses: bool = False
    ) -> Profile:
        """Return which zygote forks workers for *home*; *network*: with a granted port."""
        profile = self._profile(network, fixed_addresses)
        if home.installed is None or home.installed.runtime is None:
            return profile
        return attrs.evolve(
            profile,
            python=Path(home.installed.environment.interpreter.executable),
            sys_path=(str(home.installed.runtime.site),),
            environment=dict(profile.environment),
        )

    def _profile(self, network: bool, fixed_addresses: bool) -> Profile:
        key = (network, fixed_addresses)
        if key not in self._profiles:
            self._profiles[key] = default_profile(
                self._hosting,
                self._level,
                network=network,
                fixed_addresses=fixed_addresses,
                guarded=self._guarded,
                folders=self._folders,
            )
        return self._profiles[key]

    def of(self, request: Request | None, *, who: str, place: str) -> Home:
        """Return the home that was installed for *request*, after every byte was checked.

        *who* begins an error's message; *place* is where the plugin was found.

        Raises:
            EnvironmentUnavailable: it is not there, or not as it was installed.
        """
        if request is None:
            return self.common
        key = (request, self._store.signature(request))
        if key not in self._known:
            command = f"nxkernel plugins install {place}"
            self._known[key] = self._home(self._installed(request, who, command))
        return self._known[key]

    def _installed(self, request: Request, who: str, command: str) -> Installed:
        """Return what was checked and is held: nobody prunes it while this kernel lives."""

        def look() -> Installed:
            return verified(request, self._store, own=self._own, who=who, command=command)

        while True:
            installed = look()
            parts = (installed.environment, installed.runtime)
            if all(self._holds.take(part.prefix) for part in parts if part is not None):
                return installed
            # Pruned between the two: it is missing now, or was installed anew.

    def close(self) -> None:
        """Let the environments go."""
        self._holds.close()

    @once
    def _own(self) -> Interpreter:
        python = self._hosting.python
        return (ask(python) if python is not None else None) or here()

    @once
    def _store(self) -> EnvironmentStore:
        root = self._hosting.environments or default_root(os.environ)
        return EnvironmentStore(root, self._own.abi)

    def _home(self, installed: Installed) -> Home:
        environment = installed.environment
        own = (str(environment.prefix), os.path.dirname(os.path.realpath(nxkernel.__file__)))
        read = self._readable(own, environment.interpreter.libraries)
        return Home(read=read, installed=installed)

    def _readable(
        self, folders: Iterable[str], interpreter: Iterable[str] | None = None
    ) -> tuple[str, ...]:
        """What the walls leave open; below level confined there are none."""
        if self._level not in CONFINING:
            return ()
        from nxkernel.host.sandbox.linux import policy

        return policy.default_read_paths(folders, interpreter)
