"""Random sets of plugins as source text, and what plain pluggy makes of them.

The same text is executed for pluggy and for a kernel. Where the two differ on purpose
(docs/reference/pluggy-deviations.md), :meth:`Case.modelled` rewrites the behaviours that pluggy
sees into behaviours that pluggy treats as a kernel treats the original ones; nothing is left out
of the comparison.
"""

from __future__ import annotations

import re
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pluggy

PROJECT = "random"
#: Picks one element; hypothesis or a seeded generator stands behind it.
Choose = Callable[[Sequence[Any]], Any]

ARGUMENTS = ("x", "y", "z")
VALUES: tuple[Any, ...] = (0, 1, "", "text", [], [1, [2]], {"k": None}, None, False, 2.5, b"\x00")
IDS = ("a", "b", "c.d", "e", "f_g", "z")

# -- behaviours --------------------------------------------------------------------------------
# `TAG` becomes the name of plugin and hookimpl, `GIVEN` a list of the arguments it takes.

PLAIN = {
    "answers": "return [TAG, GIVEN]",
    "none": "return None",
    "zero": "return 0",
    "empty": "return []",
    "false": "return False",
    "same": "return 'same'",
    "value_error": "raise ValueError(TAG)",
    "key_error": "raise KeyError(TAG)",
    "silent_error": "raise LookupError",
    "own_error": "raise Boom(TAG)",
    "os_error": "raise FileNotFoundError(2, TAG)",
    "stop": "raise StopIteration(TAG)",
    "decode_error": "b'\\xff'.decode()",
}
RAISING = frozenset(
    "value_error key_error silent_error own_error os_error stop decode_error".split()
)

WRAPPER = {
    "pass": "return (yield)",
    "transform": "r = yield; return [TAG, r, GIVEN]",
    "replace": "yield; return TAG",
    "nothing": "yield",
    "append": "r = yield; r.append(TAG) if isinstance(r, list) else None; return r",
    "append_unseen": "r = yield; r.append(TAG) if isinstance(r, list) else None",
    "catch_value": "try: return (yield)\nexcept ValueError: return TAG",
    "catch_lookup": "try: return (yield)\nexcept LookupError: return TAG",
    "catch_os": "try: return (yield)\nexcept OSError: return TAG",
    "catch_any": (
        "try: return (yield)\n"
        "except Exception as e: return [TAG, isinstance(e, KeyError), isinstance(e, ValueError)]"
    ),
    "finally": "try: r = yield\nfinally: TRACE.append(TAG + ' cleanup')\nreturn r",
    "raise_before": "raise ValueError(TAG)\nyield",
    "raise_after": "yield; raise KeyError(TAG)",
    "raise_always": "try: yield\nfinally: raise ValueError(TAG)",
    "raise_other": "try: return (yield)\nexcept Exception: raise Boom(TAG)",
    "raise_from": "try: return (yield)\nexcept Exception as e: raise KeyError(TAG) from e",
    "raise_again": "try: return (yield)\nexcept Exception as e: raise e",
    "raise_stop": "yield; raise StopIteration(TAG)",
    "no_yield": "if GIVEN is None: yield",
    "two_yields": "yield; yield; return TAG",
    "two_if_error": "try: return (yield)\nexcept Exception: yield",
}

HOOKWRAPPER = {
    "pass": "yield",
    "return": "yield; return TAG",
    "get": "o = yield; o.get_result()",
    "transform": "o = yield; o.force_result([TAG, o.get_result(), GIVEN])",
    "force": "o = yield; o.force_result(TAG)",
    "force_none": "o = yield; o.force_result(None)",
    "append": "o = yield; r = o.exception is None and o.get_result()\n"
    "if isinstance(r, list): r.append(TAG)",
    "catch_value": "o = yield; isinstance(o.exception, ValueError) and o.force_result(TAG)",
    "catch_any": "o = yield; o.force_result([TAG, o.exception is None])",
    "force_exception": "o = yield; o.force_exception(KeyError(TAG))",
    "excinfo": "o = yield; o.force_result([TAG, bool(o.excinfo)])",
    "raise_before": "raise ValueError(TAG)\nyield",
    "raise_after": "yield; raise KeyError(TAG)",
    "no_yield": "if GIVEN is None: yield",
    "two_yields": "yield; yield",
}
BODIES = {"plain": PLAIN, "wrapper": WRAPPER, "hookwrapper": HOOKWRAPPER}

#: "A second yield is an error of that wrapper like any other": pluggy ends the hook at once and
#: leaves the outer wrappers suspended.
_SECOND = "raise RuntimeError('the wrapper has a second yield')"
MODELS = {
    "two_yields": f"yield; {_SECOND}",
    "two_if_error": f"try: return (yield)\nexcept Exception: {_SECOND}",
}

# -- cases ---------------------------------------------------------------------------------------


@attrs.frozen
class Spec:
    """One hookspec."""

    name: str
    args: tuple[str, ...]
    #: Arguments with the default None; they come last.
    defaults: tuple[str, ...]
    firstresult: bool
    historic: bool
    on_failure: str | None

    def source(self) -> str:
        signature = [*self.args, *(f"{name}=None" for name in self.defaults)]
        options = {"firstresult": self.firstresult, "historic": self.historic}
        given = ", ".join(f"{k}={v!r}" for k, v in options.items())
        return (
            f"@hookspec({given}, on_failure={self.on_failure!r})\n"
            f"def {self.name}({', '.join(signature)}): 'a hook'\n"
        )


@attrs.frozen
class Impl:
    """One hookimpl."""

    name: str
    hook: str
    kind: str
    behaviour: str
    order: str
    args: tuple[str, ...]
    #: Arguments with the default 'own'.
    defaults: tuple[str, ...]
    optional: bool
    #: What runs instead of the behaviour's own text.
    model: str | None = None

    def source(self, plugin: str) -> str:
        options = [f"specname={self.hook!r}"] if self.name != self.hook else []
        options += [f"{self.kind}=True"] if self.kind != "plain" else []
        options += [f"{self.order}=True"] if self.order else []
        options += ["optionalhook=True"] if self.optional else []
        signature = [*self.args, *(f"{name}='own'" for name in self.defaults)]
        tag = f"{plugin}.{self.name}"
        given = f"[{', '.join((*self.args, *self.defaults))}]"
        text = self.model or BODIES[self.kind][self.behaviour]
        body = text.replace("TAG", repr(tag)).replace("GIVEN", given)
        lines = "".join(f"    {line}\n" for line in body.split("\n"))
        return (
            f"@hookimpl({', '.join(options)})\n"
            f"def {self.name}({', '.join(signature)}):\n"
            f"    TRACE.append('{self.kind} {tag}')\n{lines}"
        )


@attrs.frozen
class Plugin:
    """One plugin: a module."""

    id: str
    priority: int
    impls: tuple[Impl, ...]

    def source(self) -> str:
        head = (
            "import pluggy\n"
            f"hookimpl = pluggy.HookimplMarker({PROJECT!r})\n"
            "TRACE = []\n"
            "class Boom(Exception): pass\n"
        )
        return head + "".join(impl.source(self.id) for impl in self.impls)

    def module(self, trace: list[str]) -> types.ModuleType:
        """The plugin as a module that writes what it does into *trace*."""
        module = types.ModuleType(self.id)
        exec(compile(self.source(), f"<{self.id}>", "exec"), module.__dict__)
        module.TRACE = trace  # type: ignore[attr-defined]
        return module


@attrs.frozen
class Case:
    """A set of hookspecs and plugins, and one call of each hook."""

    specs: tuple[Spec, ...]
    plugins: tuple[Plugin, ...]
    calls: Mapping[str, Mapping[str, Any]]

    def specs_module(self) -> types.ModuleType:
        head = f"import nxkernel as nx\nhookspec = nx.HookspecMarker({PROJECT!r})\n"
        module = types.ModuleType("specs")
        source = head + "".join(spec.source() for spec in self.specs)
        exec(compile(source, "<specs>", "exec"), module.__dict__)
        return module

    def of(self, hook: str) -> list[Impl]:
        """Hookimpls of *hook*."""
        return [impl for plugin in self.plugins for impl in plugin.impls if impl.hook == hook]

    # -- the model of the deviations --------------------------------------------------------------

    def modelled(self) -> Case:
        """What pluggy must be given to do what a kernel does with this case."""
        plugins = [
            attrs.evolve(plugin, impls=tuple(self._modelled(impl) for impl in plugin.impls))
            for plugin in self.plugins
        ]
        return attrs.evolve(self, plugins=tuple(plugins))

    def _modelled(self, impl: Impl) -> Impl:
        specs = {spec.name: spec for spec in self.specs}
        if impl.kind == "plain" and impl.behaviour in RAISING:
            # "The value lacks that provider", "the next provider is asked": as if it had
            # answered None; but when nobody answered, the first failure is the hook's.
            spec = specs.get(impl.hook)
            if spec is not None and self._skips(spec) and self._answered(spec):
                return attrs.evolve(impl, model=PLAIN["none"])
        if impl.kind == "wrapper" and impl.behaviour in MODELS:
            return attrs.evolve(impl, model=MODELS[impl.behaviour])
        return impl

    @staticmethod
    def _skips(spec: Spec) -> bool:
        if spec.firstresult:
            return spec.on_failure == "next"
        return spec.on_failure != "raise"

    def _answered(self, spec: Spec) -> bool:
        plain = [impl for impl in self.of(spec.name) if impl.kind == "plain"]
        return any(impl.behaviour not in RAISING | {"none"} for impl in plain)


# -- generating ----------------------------------------------------------------------------------


def generate(choose: Choose, hooks: int) -> Case:
    """A case with *hooks* hooks and up to six plugins."""
    specs = tuple(_spec(choose, f"hook{number}") for number in range(hooks))
    ids = [name for name in IDS if choose((True, True, False))]
    plugins = tuple(_plugin(choose, name, specs) for name in ids)
    calls = {spec.name: _arguments(choose, spec) for spec in specs}
    return Case(specs=specs, plugins=plugins, calls=calls)


def _spec(choose: Choose, name: str) -> Spec:
    kind = choose(("all", "all", "all", "first", "first", "historic"))
    failures = {"all": (None, "skip", "raise", "raise"), "first": (None, "raise", "next")}
    args = ARGUMENTS[: choose((0, 1, 2, 3))]
    split = choose(range(len(args) + 1))
    return Spec(
        name=name,
        args=args[:split],
        defaults=args[split:],
        firstresult=kind == "first",
        historic=kind == "historic",
        on_failure=choose(failures.get(kind, (None, "skip", "raise"))),
    )


def _plugin(choose: Choose, name: str, specs: Sequence[Spec]) -> Plugin:
    impls = []
    for spec in specs:
        count = choose((0, 1, 1, 1, 2, 3))
        impls += [_impl(choose, spec, f"{spec.name}_{n}" if n else spec.name) for n in range(count)]
    if choose((False, False, False, True)):
        ghost = Spec("ghost", (), (), False, False, None)
        impls.append(attrs.evolve(_impl(choose, ghost, "ghost"), optional=True))
    return Plugin(id=name, priority=choose((0, 0, 1, -1)), impls=tuple(impls))


def _impl(choose: Choose, spec: Spec, name: str) -> Impl:
    kind = "plain" if spec.historic else choose(("plain", "plain", "wrapper", "hookwrapper"))
    names = [n for n in (*spec.args, *spec.defaults) if choose((True, True, False))]
    if choose((False, True)):
        names.reverse()
    split = choose(range(len(names) + 1))
    own = ("extra",) if choose((False, False, False, True)) else ()
    return Impl(
        name=name,
        hook=spec.name,
        kind=kind,
        behaviour=choose(tuple(BODIES[kind])),
        order=choose(("", "", "tryfirst", "trylast")),
        args=tuple(names[:split]),
        defaults=(*names[split:], *own),
        optional=choose((False, False, False, True)),
    )


def _arguments(choose: Choose, spec: Spec) -> dict[str, Any]:
    left_out = [name for name in spec.defaults if choose((True, False))]
    names = [name for name in (*spec.args, *spec.defaults) if name not in left_out]
    return {name: choose(VALUES) for name in names}


# -- plain pluggy ------------------------------------------------------------------------------


@attrs.frozen
class Answer:
    """What a hook call gave, in the same words for pluggy and for a kernel."""

    value: Any = None
    #: ``TypeName: text``.
    error: str | None = None
    #: What the callback of a historic call was given.
    heard: tuple[Any, ...] = ()


def ask_pluggy(case: Case, trace: list[str]) -> dict[str, Answer]:
    """Register in a kernel's documented order, call every hook."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(case.specs_module())
    for plugin in sorted(case.plugins, key=lambda p: (p.priority, p.id), reverse=True):
        if plugin.impls:
            manager.register(plugin.module(trace), plugin.id)
    manager.check_pending()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pluggy.PluggyTeardownRaisedWarning)
        return {spec.name: _ask(manager, spec, case.calls[spec.name]) for spec in case.specs}


def _ask(manager: pluggy.PluginManager, spec: Spec, arguments: Mapping[str, Any]) -> Answer:
    hook = getattr(manager.hook, spec.name)
    heard: list[Any] = []
    try:
        if spec.historic:
            hook.call_historic(heard.append, dict(arguments))
            return Answer(heard=tuple(heard))
        return Answer(value=hook(**arguments))
    except Exception as error:
        return Answer(error=_words(error))


def _words(error: Exception) -> str:
    text = str(error)
    # pluggy says where the wrapper's code is; a kernel's messages hold no place on a disk.
    found = re.fullmatch(r"wrap_controller at .* (did not yield|has second yield)", text, re.DOTALL)
    if found:
        text = {"did not yield": "the wrapper did not yield"}.get(
            found[1], "the wrapper has a second yield"
        )
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
