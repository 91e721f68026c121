"""Hookspecs are found wherever pluggy finds them, with the options that pluggy lacks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pluggy
import pytest

import nxkernel as nx
from nxkernel.errors import KernelConfigError
from nxkernel.hookspecs import ANSWER, HookimplMarker, HookspecMarker, SpecOptions, collect_specs

hookspec = HookspecMarker("demo")


def module(**members: Any) -> ModuleType:
    made = ModuleType("app.hookspecs")
    vars(made).update(members)
    return made


@hookspec
def read_tokens(frame: bytes, dpi: int = 72) -> list[str]:
    """Return the tokens."""
    return []


@nx.capability("prompt.bundle")
class Bundles:
    """Prompts in versions."""

    @hookspec(firstresult=True, timeout=2.5, fallback=None, idempotent=True, on_failure="next")
    def snapshot(self, sources: list[str]) -> Any:
        """Return a snapshot."""


class Plain:
    @hookspec(historic=True)
    def opened(self, name: str) -> None:
        """A document was opened."""


def specs_of(*namespaces: Any) -> dict[str, Any]:
    return collect_specs("demo", namespaces)


def test_a_function_of_a_module() -> None:
    """Name, arguments, defaults and docstring are the function's."""
    spec = specs_of(module(read_tokens=read_tokens))["read_tokens"]
    assert spec.args == ("frame", "dpi")
    assert dict(spec.defaults) == {"dpi": 72}
    assert spec.doc == "Return the tokens."
    assert spec.function is read_tokens
    assert (spec.firstresult, spec.historic, spec.capability) == (False, False, None)
    assert spec.options == SpecOptions()


def test_a_capability_gives_its_hooks_their_names() -> None:
    """The method snapshot of prompt.bundle is the hook prompt_bundle_snapshot."""
    for namespace in (module(Bundles=Bundles), Bundles):
        spec = specs_of(namespace)["prompt_bundle_snapshot"]
        assert (spec.capability, spec.method) == ("prompt.bundle", "snapshot")
        assert spec.args == ("sources",)
        assert spec.firstresult


@pytest.mark.parametrize("namespace", [Plain, Plain()], ids=["class", "instance"])
def test_methods_have_no_self(namespace: Any) -> None:
    """A class and an instance of it declare the same hooks."""
    spec = specs_of(namespace)["opened"]
    assert spec.args == ("name",)
    assert spec.historic


def test_a_class_in_a_module_is_no_namespace_without_a_capability() -> None:
    """As with pluggy, a plain class is a namespace only where it is named as one."""
    with pytest.raises(KernelConfigError, match="no hookspec"):
        specs_of(module(Plain=Plain))


def test_options() -> None:
    """What pluggy does not know is kept beside what it knows."""
    options = specs_of(Bundles)["prompt_bundle_snapshot"].options
    assert options == SpecOptions(timeout=2.5, fallback=None, idempotent=True, on_failure="next")
    assert options.has_fallback
    assert not SpecOptions().has_fallback


def test_plain_pluggy_markers_will_do() -> None:
    """Hookspecs that know nothing of nxkernel are hookspecs."""

    def ping(name: str) -> None: ...

    pluggy.HookspecMarker("demo")(ping)
    spec = specs_of(module(ping=ping))["ping"]
    assert spec.args == ("name",)
    assert spec.options == SpecOptions()


def test_other_projects_are_ignored() -> None:
    """A hookspec of another project is none of ours."""

    def ping() -> None: ...

    HookspecMarker("other")(ping)
    assert list(specs_of(module(read_tokens=read_tokens, ping=ping))) == ["read_tokens"]


def test_pluggy_agrees_about_names_and_arguments() -> None:
    """What is collected can be given to pluggy, and it reads the same arguments."""

    class Odd:
        @hookspec
        def keyword_only(self, a: int, *, b: int) -> None: ...

        @staticmethod
        @hookspec
        def static(a: int) -> None: ...

    specs = specs_of(module(read_tokens=read_tokens), Bundles, Plain, Odd)
    manager = pluggy.PluginManager("demo")
    manager.add_hookspecs(module(**{name: spec.function for name, spec in specs.items()}))
    for name, spec in specs.items():
        known = getattr(manager.hook, name).spec
        assert (*known.argnames, *known.kwargnames) == spec.args
        assert bool(known.opts["firstresult"]) == spec.firstresult
        assert bool(known.opts["historic"]) == spec.historic


@pytest.mark.parametrize(
    "namespaces",
    [
        [module(read_tokens=read_tokens), module(read_tokens=read_tokens)],
        [module(Bundles=Bundles, prompt_bundle_snapshot=read_tokens)],
    ],
    ids=["in two namespaces", "in one namespace"],
)
def test_a_name_is_declared_once(namespaces: list[Any]) -> None:
    """Two hookspecs of one name are a mistake, in one namespace too."""
    with pytest.raises(KernelConfigError, match="is declared twice"):
        specs_of(*namespaces)


def test_a_namespace_without_hooks_is_a_mistake() -> None:
    """The message names the namespace and the project."""
    with pytest.raises(KernelConfigError, match=r"project 'demo' in app\.hookspecs"):
        specs_of(module())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"on_failure": "next"}, "needs firstresult"),
        ({"on_failure": "ignore"}, "on_failure='ignore'"),
        ({"firstresult": True, "historic": True}, "no first result"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": -1.5}, "timeout=-1.5"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"stream": True}, "stream=True needs firstresult"),
        ({"stream": True, "firstresult": True, "fallback": []}, "excludes fallback"),
        ({"stream": True, "firstresult": True, "returns": ANSWER}, "excludes returns"),
        ({"item_timeout": 1.0}, "item_timeout= is for the items of a stream"),
        ({"stream": True, "firstresult": True, "item_timeout": 0}, "item_timeout=0"),
    ],
)
def test_options_without_meaning_are_refused(options: Any, reason: str) -> None:
    """A mistake in a hookspec is found when its module is imported."""
    with pytest.raises(KernelConfigError, match=reason):
        hookspec(**options)


def test_hookimpls_are_pluggys() -> None:
    """A plugin needs nothing of ours to be one."""
    assert HookimplMarker is pluggy.HookimplMarker
    assert nx.HookimplMarker is pluggy.HookimplMarker


def test_what_a_hook_returns_is_the_name_of_a_schema() -> None:
    """Anything else is refused where it is written, and a historic hook gives no answer."""
    mark = HookspecMarker("x")
    with pytest.raises(KernelConfigError, match="expected the name of a published schema, such as"):
        mark(returns="token.schema.json")(lambda: None)
    with pytest.raises(KernelConfigError, match="a historic hook gives no answer"):
        mark(historic=True, returns=ANSWER)(lambda: None)
