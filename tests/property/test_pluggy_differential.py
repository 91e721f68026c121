"""A kernel gives what pluggy gives, but for the deviations that the reference lists.

Random sets of plugins go as the same source text through plain pluggy, through the kernel's own
desk, executor and registry with the plugins in this process (many examples), and through confined
workers (few, but many hooks each). ``tests/support/random_plugins.py`` holds the model of the
deviations of ``docs/reference/pluggy-deviations.md``; nothing is left out of the comparison.
"""

from __future__ import annotations

import asyncio
import json
import random
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pluggy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nxkernel as nx
from nxkernel._clock import SystemClock
from nxkernel.dispatch.drivers import Bell, run_async, run_blocking
from nxkernel.hookspecs import collect_specs
from nxkernel.host.builtin import Builtins
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.desk import Desk
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.terms import Terms
from nxkernel.settings import Hosting
from nxkernel.types import HookResult, PluginId, RunId
from tests.support.random_plugins import PROJECT, Answer, Case, Spec, ask_pluggy, generate

# -- the kernel's parts, with the plugins in this process ---------------------------------------


@attrs.define
class InProcess:
    """Desk, registry and executor over a case, as the kernel composes them."""

    case: Case
    trace: list[str] = attrs.Factory(list)
    clock: SystemClock = attrs.Factory(SystemClock)
    bell: Bell = attrs.Factory(Bell)

    def ask(self, *, loop: bool = False) -> dict[str, Answer]:
        desk = self._desk()
        return {spec.name: self._ask(desk, spec.name, loop) for spec in self.case.specs}

    def _desk(self) -> Desk:
        specs = collect_specs(PROJECT, [self.case.specs_module()])
        plugins = [plugin for plugin in self.case.plugins if plugin.impls]
        builtins = Builtins(PROJECT, {p.id: p.module(self.trace) for p in plugins})
        registry = Registry(PROJECT, specs)
        for plugin in plugins:
            registry.register(PluginId(plugin.id), plugin.priority, builtins.impls(plugin.id))
        return Desk(
            Terms(
                run_id=RunId("r1"),
                specs=specs,
                registry=registry,
                middleware=(),
                builtins=builtins,
                builtin_ids=frozenset(PluginId(plugin.id) for plugin in plugins),
                facts={},
                timeouts={},
                depths={},
                disabled=lambda plugin, edition: None,
                hosting=Hosting(),
                clock=self.clock,
                level="confined",
            )
        )

    def _ask(self, desk: Desk, hook: str, loop: bool) -> Answer:
        arguments = self.case.calls[hook]
        heard: list[Any] = []
        if desk.specs[hook].historic:
            generator = desk.historic_call(hook, arguments, heard.append)
        else:
            generator = desk.hook_call(hook, arguments, CallOptions())
        if loop:
            result = asyncio.run(run_async(generator, self.clock, self.bell))
        else:
            result = run_blocking(generator, self.clock, self.bell)
        return answer(result, heard, historic=desk.specs[hook].historic)


def answer(result: HookResult, heard: list[Any], *, historic: bool) -> Answer:
    """A kernel's result in the words that pluggy's is put in."""
    if result.error is not None:
        return Answer(error=result.error.message)
    return Answer(heard=tuple(heard)) if historic else Answer(value=result.value)


# -- the comparison -------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A case with one or two hooks."""

    def choose(choices: Sequence[Any]) -> Any:
        # An index costs a fraction of what sampled_from() does, and shrinks as well.
        return choices[draw(st.integers(0, len(choices) - 1))]

    return generate(choose, draw(st.integers(1, 2)))


def typed(answers: dict[str, Answer]) -> dict[str, str]:
    """Answers as text, in which 0, False and 0.0 differ."""
    return {hook: repr(answer) for hook, answer in answers.items()}


def seeded(seed: int, hooks: int) -> Case:
    """A case from a seed: no shrinking, but far cheaper to draw."""
    chooser = random.Random(seed)
    return generate(chooser.choice, hooks)


@settings(max_examples=1000)
@given(st.builds(seeded, st.integers(0, 2**32), st.integers(1, 3)))
def test_random_plugins_give_what_pluggy_gives(case: Case) -> None:
    """Every result and error of a hook is pluggy's, the listed deviations apart."""
    assert typed(InProcess(case).ask()) == typed(ask_pluggy(case.modelled(), []))


@settings(max_examples=200)
@given(cases())
def test_plugins_that_can_be_shrunk_give_what_pluggy_gives(case: Case) -> None:
    """The same for sets that are drawn choice by choice: a deviation is shown by a small one."""
    assert typed(InProcess(case).ask()) == typed(ask_pluggy(case.modelled(), []))


@settings(max_examples=250)
@given(st.builds(seeded, st.integers(0, 2**32), st.integers(1, 3)))
def test_random_plugins_run_in_pluggys_order(case: Case) -> None:
    """Wrappers are entered and left, and providers asked, in pluggy's order.

    The one deviation: providers behind one that failed are asked too.
    """
    ours, theirs = InProcess(case), []
    ours.ask()
    ask_pluggy(case.modelled(), theirs)

    def split(trace: list[str]) -> tuple[list[str], list[str]]:
        plain = [line for line in trace if line.startswith("plain ")]
        return plain, [line for line in trace if not line.startswith("plain ")]

    plain, wrapping = split(ours.trace)
    their_plain, their_wrapping = split(theirs)
    assert wrapping == their_wrapping
    skipped = iter(plain)
    assert all(line in skipped for line in their_plain), "their order is a part of ours"


@settings(max_examples=250)
@given(st.builds(seeded, st.integers(0, 2**32), st.integers(1, 3)))
def test_awaiting_a_call_gives_what_blocking_gives(case: Case) -> None:
    """The two drivers of the executor give the same results."""
    assert typed(InProcess(case).ask(loop=True)) == typed(InProcess(case).ask())


# -- confined workers ---------------------------------------------------------------------------

#: Sets of plugins, and hooks in each: booting costs more than calling.
SETS, HOOKS = 20, 20


def written(case: Case, folder: Path) -> list[nx.Candidate]:
    """The plugins of *case* as folders, with everything that a manifest must say."""
    for plugin in case.plugins:
        if not plugin.impls:
            continue
        place = folder / plugin.id
        place.mkdir(parents=True)
        (place / "plugin.py").write_text(plugin.source())
        hooks = [
            {"hook": impl.hook, "impl": impl.name, "optional": impl.optional}
            for impl in plugin.impls
        ]
        manifest = {
            "schema_version": 1,
            "id": plugin.id,
            "version": "1",
            "entrypoint": "plugin",
            "priority": plugin.priority,
            "hooks": hooks,
        }
        (place / "plugin.json").write_text(json.dumps(manifest))
    return list(nx.discover(folder)) if folder.exists() else []


def ask_workers(kernel: nx.Kernel, case: Case) -> dict[str, Answer]:
    """Call every hook, blocking."""
    return {spec.name: ask_worker(kernel, spec, case.calls[spec.name]) for spec in case.specs}


def ask_worker(kernel: nx.Kernel, spec: Spec, arguments: Any) -> Answer:
    if not spec.historic:
        return answer(kernel.call(spec.name, **arguments), [], historic=False)
    heard: list[Any] = []
    try:
        getattr(kernel.hook, spec.name).call_historic(heard.append, arguments)
    except nx.HookFailed as failed:
        return answer(failed.result, heard, historic=True)
    return Answer(heard=tuple(heard))


async def await_workers(kernel: nx.Kernel, case: Case) -> dict[str, Answer]:
    """Call every hook that can be awaited, all at the same time."""
    names = [spec.name for spec in case.specs if not spec.historic]
    results = await asyncio.gather(*(kernel.acall(name, **case.calls[name]) for name in names))
    return {
        name: answer(result, [], historic=False)
        for name, result in zip(names, results, strict=True)
    }


@pytest.mark.parametrize("seed", range(SETS))
def test_confined_workers_give_what_pluggy_gives(seed: int, tmp_path: Path) -> None:
    """Across the process boundary every hook gives what pluggy gives, blocking and awaited."""
    case = seeded(seed, HOOKS)
    run = nx.Run.create(tmp_path / "data", seed=seed)
    plugins = written(case, tmp_path / "plugins")
    expected = typed(ask_pluggy(case.modelled(), []))
    with nx.Kernel(
        PROJECT, specs=[case.specs_module()], run=run, plugins=plugins, middleware=[]
    ) as kernel:
        assert {name: view.error for name, view in kernel.plugins.items() if view.error} == {}
        assert typed(ask_workers(kernel, case)) == expected
        awaited = typed(asyncio.run(await_workers(kernel, case)))
        assert awaited == {name: expected[name] for name in awaited}


# -- deviations that are not in the random sets ----------------------------------------------------


ODD = """
import pluggy
hookimpl = pluggy.HookimplMarker("random")

class Own(ValueError):
    pass

@hookimpl
def hook(x):
    if x == "own":
        raise Own("text")
    if x == "exit":
        raise SystemExit(3)
    raise ValueError("text")

@hookimpl(wrapper=True, specname="hook")
def around(x):
    try:
        return (yield)
    except ValueError as error:
        return ["ValueError", str(error), type(error).__name__]
    except Exception as error:
        return ["Exception", str(error), type(error).__name__]
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, nx.Kernel]]:
    """pluggy's hook and a kernel, over one plugin that raises what is odd."""
    folder = tmp_path_factory.mktemp("odd")
    spec = Spec("hook", ("x",), (), firstresult=True, historic=False, on_failure=None)
    case = Case(specs=(spec,), plugins=(), calls={})
    (folder / "plugins" / "odd").mkdir(parents=True)
    (folder / "plugins" / "odd" / "plugin.py").write_text(ODD)
    manifest = {
        "schema_version": 1,
        "id": "odd",
        "version": "1",
        "entrypoint": "plugin",
        "hooks": ["hook", {"hook": "hook", "impl": "around"}],
    }
    (folder / "plugins" / "odd" / "plugin.json").write_text(json.dumps(manifest))
    module = types.ModuleType("odd")
    exec(ODD, module.__dict__)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(case.specs_module())
    manager.register(module, "odd")
    with nx.Kernel(
        PROJECT,
        specs=[case.specs_module()],
        run=nx.Run.create(folder / "data"),
        plugins=nx.discover(folder / "plugins"),
        middleware=[],
    ) as kernel:
        yield manager.hook.hook, kernel


def test_a_builtin_exception_keeps_its_class_and_not_its_text(odd: tuple[Any, nx.Kernel]) -> None:
    """``except ValueError`` catches it on both sides; its text has the code before it here."""
    hook, kernel = odd
    assert hook(x="") == ["ValueError", "text", "ValueError"]
    assert kernel.hook.hook(x="") == [
        "ValueError",
        "[plugin.raised] ValueError: text",
        "ValueError",
    ]


def test_an_exception_of_a_plugins_own_is_none_of_its_bases(odd: tuple[Any, nx.Kernel]) -> None:
    """Its class does not cross, so what it derives from does not either."""
    hook, kernel = odd
    assert hook(x="own") == ["ValueError", "text", "Own"]
    assert kernel.hook.hook(x="own") == [
        "Exception",
        "[plugin.raised] Own: text",
        "PluginFailed",
    ]


def test_an_exit_ends_a_call_and_no_caller(odd: tuple[Any, nx.Kernel]) -> None:
    """What ends the caller under pluggy is a failure like any other here."""
    hook, kernel = odd
    with pytest.raises(SystemExit):
        hook(x="exit")
    assert kernel.hook.hook(x="exit")[0] == "Exception"


def test_arguments_are_the_hookspecs_no_more_and_no_less(odd: tuple[Any, nx.Kernel]) -> None:
    """pluggy passes over what the hookspec lacks, and warns of what is missing."""
    hook, kernel = odd
    assert hook(x="", more=1)
    with pytest.raises(nx.CallRejected, match="more"):
        kernel.hook.hook(x="", more=1)
    with pytest.warns(UserWarning, match="'x'"), pytest.raises(pluggy.HookCallError):
        hook()
    with pytest.raises(nx.CallRejected, match="x"):
        kernel.hook.hook()
