"""Markers for hookspecs and hookimpls, with the options that pluggy does not have.

The only module that imports pluggy for the rest of the package: everyone else asks here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Literal, TypeVar, overload

import attrs
import pluggy
from pluggy import HookimplMarker

from nxkernel.errors import KernelConfigError

__all__ = [
    "ANSWER",
    "HookSpec",
    "HookimplMarker",
    "HookspecMarker",
    "SpecOptions",
    "capability",
    "collect_specs",
]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)
OnFailure = Literal["skip", "next", "raise"]
_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_OPTIONS = "_nxspec"
_CAPABILITY = "__nx_capability__"
#: What a hook returns whose value is an answer: claims, each with citations that the kernel checks.
ANSWER = "urn:nxkernel:sst:answer:1"
#: Marks the absence of a fallback: None is a fallback like any other.
NO_FALLBACK: Any = attrs.make_class("_NoFallback", [], frozen=True)()


def _seconds(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not value > 0:
        raise KernelConfigError(f"{attribute.name}={value!r}: expected seconds, more than 0")


def _on_failure(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in (None, "skip", "next", "raise"):
        raise KernelConfigError(f"{attribute.name}={value!r}: expected skip, next or raise")


def _returns(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value.startswith("urn:")):
        raise KernelConfigError(
            f"{attribute.name}={value!r}: expected the name of a published schema, such as {ANSWER}"
        )


@attrs.frozen(kw_only=True)
class SpecOptions:
    """What a hookspec says beyond pluggy's options."""

    #: Seconds for each provider, or None for the host's default.
    timeout: float | None = attrs.field(default=None, validator=_seconds)
    #: The hook's value when nothing else answered and something failed.
    fallback: Any = NO_FALLBACK
    #: Whether a call that was lost with its worker may be made again, with all that it calls.
    idempotent: bool = False
    #: The name of the published schema of one provider's result, or None.
    returns: str | None = attrs.field(default=None, validator=_returns)
    #: None is ``skip`` for a plain fan-out and ``raise`` for firstresult.
    on_failure: OnFailure | None = attrs.field(default=None, validator=_on_failure)
    #: Whether the hook returns an iterator, whose items cross one by one.
    stream: bool = False
    #: Of a stream: seconds for each item, or None. ``timeout`` is for all of them.
    item_timeout: float | None = attrs.field(default=None, validator=_seconds)

    @property
    def answers(self) -> bool:
        """Whether the hook's value is an answer, of which nothing leaves that is not cited."""
        return self.returns == ANSWER

    @property
    def has_fallback(self) -> bool:
        """Whether a fallback was given; None is one."""
        return self.fallback is not NO_FALLBACK


class HookspecMarker:
    """pluggy's hookspec marker with the options of :class:`SpecOptions`."""

    def __init__(self, project_name: str) -> None:
        self.project_name = project_name
        self._marker = pluggy.HookspecMarker(project_name)

    @overload
    def __call__(self, function: F) -> F: ...

    @overload
    def __call__(
        self,
        function: None = ...,
        *,
        firstresult: bool = ...,
        historic: bool = ...,
        warn_on_impl: Warning | None = ...,
        warn_on_impl_args: Mapping[str, Warning] | None = ...,
        timeout: float | None = ...,
        fallback: Any = ...,
        idempotent: bool = ...,
        on_failure: OnFailure | None = ...,
        returns: str | None = ...,
        stream: bool = ...,
        item_timeout: float | None = ...,
    ) -> Callable[[F], F]: ...

    def __call__(
        self,
        function: F | None = None,
        *,
        firstresult: bool = False,
        historic: bool = False,
        warn_on_impl: Warning | None = None,
        warn_on_impl_args: Mapping[str, Warning] | None = None,
        timeout: float | None = None,
        fallback: Any = NO_FALLBACK,
        idempotent: bool = False,
        on_failure: OnFailure | None = None,
        returns: str | None = None,
        stream: bool = False,
        item_timeout: float | None = None,
    ) -> F | Callable[[F], F]:
        """Mark *function* as a hookspec of the project.

        Raises:
            KernelConfigError: for options that exclude each other (historic and firstresult,
                ``on_failure="next"`` without firstresult, a stream that is historic, without
                firstresult, with a fallback or an answer) or have no meaning.
        """
        options = SpecOptions(
            timeout=timeout,
            fallback=fallback,
            idempotent=idempotent,
            on_failure=on_failure,
            returns=returns,
            stream=stream,
            item_timeout=item_timeout,
        )
        _check_stream(options, firstresult=firstresult)
        if historic and options.answers:
            raise KernelConfigError("a historic hook gives no answer: it is called for its effect")
        if firstresult and historic:
            raise KernelConfigError("a historic hook has no first result: drop one of the two")
        if on_failure == "next" and not firstresult:
            raise KernelConfigError('on_failure="next" needs firstresult=True')

        def mark(target: F) -> F:
            setattr(target, self.project_name + _OPTIONS, options)
            return self._marker(
                target,
                firstresult=firstresult,
                historic=historic,
                warn_on_impl=warn_on_impl,
                warn_on_impl_args=warn_on_impl_args,
            )

        return mark if function is None else mark(function)


def _check_stream(options: SpecOptions, *, firstresult: bool) -> None:
    """Refuse what has no meaning for a hook that streams, or for one that does not."""
    if options.item_timeout is not None and not options.stream:
        raise KernelConfigError("item_timeout= is for the items of a stream: add stream=True")
    if not options.stream:
        return
    if not firstresult:
        raise KernelConfigError("stream=True needs firstresult=True: one provider streams")
    if options.has_fallback or options.answers:
        what = "fallback=" if options.has_fallback else "returns="
        raise KernelConfigError(f"stream=True excludes {what}: both are for one whole value")


def capability(name: str) -> Callable[[C], C]:
    """Mark a hookspec class as the capability *name*.

    Its method ``snapshot`` is the hook ``prompt_bundle_snapshot`` of capability
    ``prompt.bundle``.
    """

    def mark(cls: C) -> C:
        setattr(cls, _CAPABILITY, name)
        return cls

    return mark


@attrs.frozen(kw_only=True)
class HookSpec:
    """One hook that the application offers, whichever way it was declared."""

    name: str
    #: Argument names in the order of the signature, without ``self``.
    args: tuple[str, ...]
    #: Defaults of the arguments that have one.
    defaults: Mapping[str, Any]
    firstresult: bool
    historic: bool
    options: SpecOptions
    doc: str
    #: The function that was marked; annotations are read from it.
    function: Callable[..., Any] = attrs.field(eq=False, repr=False)
    #: The capability's name and method, or None.
    capability: str | None = None
    method: str | None = None
    #: The names in ``args``.
    names: frozenset[str] = attrs.field(init=False, eq=False, repr=False)

    @names.default
    def _names(self) -> frozenset[str]:
        return frozenset(self.args)


def collect_specs(project: str, namespaces: Iterable[Any]) -> dict[str, HookSpec]:
    """Find every hookspec of *project*, by hook name.

    Raises:
        KernelConfigError: for a name that is declared twice, or a namespace without hooks.
    """
    specs: dict[str, HookSpec] = {}
    for namespace in namespaces:
        known = len(specs)
        for spec in _specs_of(project, namespace):
            if spec.name in specs:
                raise KernelConfigError(f"hook {spec.name!r} is declared twice")
            specs[spec.name] = spec
        if len(specs) == known:
            raise KernelConfigError(f"no hookspec of project {project!r} in {_name(namespace)}")
    return specs


def _name(namespace: Any) -> str:
    return str(getattr(namespace, "__name__", type(namespace).__name__))


def _specs_of(project: str, namespace: Any) -> Iterator[HookSpec]:
    own = getattr(namespace, _CAPABILITY, None)
    for attribute in sorted(dir(namespace)):
        member = inspect.getattr_static(namespace, attribute, None)
        if isinstance(member, type) and isinstance(namespace, ModuleType):
            if getattr(member, _CAPABILITY, None):
                yield from _specs_of(project, member)
            continue
        function = getattr(member, "__func__", member)
        if callable(function) and getattr(function, project + "_spec", None) is not None:
            yield _spec(project, attribute, function, own)


def _spec(project: str, attribute: str, function: Any, owner: str | None) -> HookSpec:
    # pluggy's own rule: a hookspec names its positional parameters, and one that was defined in a
    # class has a self or cls before them.
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind in _NAMED]
    in_class = "." in function.__qualname__.rpartition("<locals>.")[2]
    if in_class and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    opts = getattr(function, project + "_spec")
    return HookSpec(
        name=f"{owner.replace('.', '_')}_{attribute}" if owner else attribute,
        args=tuple(p.name for p in parameters),
        defaults={p.name: p.default for p in parameters if p.default is not p.empty},
        firstresult=bool(opts.get("firstresult")),
        historic=bool(opts.get("historic")),
        options=getattr(function, project + _OPTIONS, None) or SpecOptions(),
        doc=inspect.getdoc(function) or "",
        function=function,
        capability=owner,
        method=attribute if owner else None,
    )
