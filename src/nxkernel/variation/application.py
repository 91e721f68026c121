"""A stand-in for an application: the hooks of one plugin, and canned answers to what it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import attrs

from nxkernel.hookspecs import HookimplMarker, HookspecMarker
from nxkernel.plugins.discovery import Candidate
from nxkernel.settings import Grant, Permissions
from nxkernel.types import ImplFacts
from nxkernel.variation.examples import HERE, Example

__all__ = ["Application", "modest"]

#: Who answers what the plugin asks.
_ANSWERER: Final = "examples"
#: Paths that are the plugin's own, and that of its examples.
_WRITE: Final = ("{run_dir}", "{cache_dir}")
_READ: Final = (*_WRITE, "{plugin_dir}", HERE)


@attrs.define(eq=False)
class Application:
    """Offers what a plugin implements, by the names of its examples' arguments."""

    specs: Any
    builtins: Mapping[str, Any]
    #: Hooks that examples answer.
    answers: tuple[str, ...]
    _current: list[Example]

    @classmethod
    def of(
        cls, project: str, impls: Sequence[ImplFacts], examples: Sequence[Example]
    ) -> Application:
        """Return the application that *examples* need of *project*; *impls*: of all its plugins."""
        current: list[Example] = []
        asked = _asked(examples)
        specs = _Namespace()
        hookspec = HookspecMarker(project)
        for hook, arguments in sorted(_hooks(impls, examples).items()):
            setattr(specs, hook, hookspec(_function(hook, arguments)))
        for hook, arguments in sorted(asked.items()):
            spec = hookspec(firstresult=True)(_function(hook, arguments))
            setattr(specs, hook, spec)
        answerer = _answerer(project, sorted(asked), current)
        builtins = {_ANSWERER: answerer} if asked else {}
        return cls(specs=specs, builtins=builtins, answers=tuple(sorted(asked)), current=current)

    def answering(self, example: Example) -> None:
        """Answer what is asked as *example* says, from now on."""
        self._current[:] = [example]


class _Namespace:
    """Holds hookspecs."""

    __name__ = "examples"


def _hooks(impls: Sequence[ImplFacts], examples: Sequence[Example]) -> dict[str, list[str]]:
    """Every hook that the plugin implements, and the names of its arguments."""
    found: dict[str, dict[str, None]] = {}
    for impl in impls:
        found.setdefault(impl.hook, {}).update(dict.fromkeys((*impl.args, *impl.kwargs)))
    for example in examples:
        found.setdefault(example.hook, {}).update(dict.fromkeys(sorted(example.arguments)))
    return {hook: list(names) for hook, names in found.items()}


def _asked(examples: Sequence[Example]) -> dict[str, list[str]]:
    """Every hook that examples answer, and the names of its arguments."""
    found: dict[str, dict[str, None]] = {}
    for example in examples:
        for hook, canned in example.answers.items():
            found.setdefault(hook, {}).update(dict.fromkeys(canned.arguments))
    return {hook: list(names) for hook, names in found.items()}


def _function(name: str, arguments: Sequence[str]) -> Callable[..., None]:
    """Return a function of that name and these arguments, as a hookspec is one."""

    def hook() -> None: ...

    # By its code: that is where pluggy looks. Names from a worker's handshake are compiled nowhere.
    names = tuple(arguments)
    code = hook.__code__.replace(
        co_argcount=len(names), co_nlocals=len(names), co_varnames=names, co_name=name
    )
    made = FunctionType(code, {}, name)
    made.__doc__ = "Of the examples."
    return made


def _answerer(project: str, hooks: Sequence[str], current: list[Example]) -> Any:
    hookimpl, answerer = HookimplMarker(project), _Namespace()

    def told(hook: str) -> Callable[[], Any]:
        def answer() -> Any:
            canned = current[0].answers.get(hook) if current else None
            return None if canned is None else canned.value

        answer.__name__ = answer.__qualname__ = hook
        return answer

    for hook in hooks:
        setattr(answerer, hook, hookimpl(told(hook)))
    return answerer


def modest(candidate: Candidate, answers: Sequence[str], folder: Path) -> tuple[Candidate, Grant]:
    """Return *candidate* with no request beyond what examples may have, and the grant for it.

    *folder*: where the files of its examples are, which is its ``{media_dir}``.
    """
    manifest = candidate.manifest
    if manifest is None:
        return candidate, Grant()
    asked = manifest.permissions
    allowed = {
        "read": tuple(
            path.replace(HERE, str(folder)) for path in asked.read if path.startswith(_READ)
        ),
        "write": tuple(path for path in asked.write if path.startswith(_WRITE)),
        "calls": tuple(hook for hook in asked.calls if hook in answers),
    }
    manifest = attrs.evolve(
        manifest,
        permissions=Permissions(**allowed),
        requires=tuple(hook for hook in manifest.requires if hook in answers),
        depends_on=(),
        conflicts_with=(),
        replaces=(),
    )
    return attrs.evolve(candidate, manifest=manifest), Grant(**allowed)
