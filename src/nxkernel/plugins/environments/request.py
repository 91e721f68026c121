"""Requests: what a manifest's ``[environment]`` asks for."""

from __future__ import annotations

import re

import attrs
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from nxkernel import _canonical
from nxkernel.types import Digest

__all__ = ["Request", "is_name", "is_path", "python_problem"]

DOMAIN = b"nx.environment.request.v1\0"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


@attrs.frozen(kw_only=True)
class Request:
    """An interpreter and requirements; equal requests share an environment."""

    #: Version specifiers (``>=3.12``), a program's name (``python3.12``) or an absolute path;
    #: ``""`` is the interpreter of the application.
    python: str = ""
    #: In one spelling, sorted; see `requirements`.
    requirements: tuple[str, ...] = ()

    def digest(self, abi: str) -> Digest:
        """Return what names this request on a host whose own interpreter has *abi*."""
        content = [abi, self.python, list(self.requirements)]
        return _canonical.digest(_canonical.encode(content), DOMAIN)


def is_path(python: str) -> bool:
    """Return whether *python* names an interpreter by its path."""
    return python.startswith("/")


def is_name(python: str) -> bool:
    """Return whether *python* names an interpreter by a program's name."""
    return _NAME.fullmatch(python) is not None


def python_problem(python: str) -> str:
    """Return what is wrong with the *python* of a manifest, or ``""``."""
    if is_path(python):
        plain = python.isprintable() and ".." not in python.split("/")
        return "" if plain else "has .. or a control character in it"
    if is_name(python):
        return ""
    try:
        SpecifierSet(python)
    except InvalidSpecifier:
        return "expected version specifiers (>=3.12), a name (python3.12) or an absolute path"
    return ""
