"""The kernel as an application composes it: what it refuses, what it shows, how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.audit.verification import verify
from nxkernel.host.sandbox.linux import probe

hookspec = nx.HookspecMarker("demo")
hookimpl = nx.HookimplMarker("demo")


@hookspec
def echo(value):
    """Return *value*."""


@hookspec(firstresult=True)
def slow(value):
    """Wait until somebody ends it."""


@hookspec(historic=True, on_failure="raise")
def began(value):
    """It began."""


@nx.capability("store.records")
class Records:
    @hookspec(firstresult=True)
    def get(self, key):
        """Return the record of *key*."""


class Specs:
    """Where the kernel finds the hookspecs above."""

    echo, slow, began = staticmethod(echo), staticmethod(slow), staticmethod(began)


SPECS = [Specs, Records]


class Own:
    """The embedder's own implementations."""

    @hookimpl
    def echo(self, value):
        return ["own", value]

    @hookimpl(specname="store_records_get")
    def record(self, key):
        return {"key": key}

    @hookimpl
    def began(self, value):
        if value is None:
            raise ValueError("no value")


PLUGIN = """
import pluggy, time
hookimpl = pluggy.HookimplMarker("demo")

@hookimpl
def echo(value):
    return ["plugin", value]

@hookimpl
def slow(value):
    while True:
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def confinement() -> None:
    """Skip, with the reason, where the level cannot be had at all."""
    for found in (probe.landlock_abi(), probe.seccomp_available()):
        if not found.ok:
            pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")


def plugins(folder: Path, code: str = PLUGIN, hooks: tuple[str, ...] = ("echo", "slow")) -> Any:
    """The plugin ``a.plugin`` in a folder of its own."""
    place = folder / "plugins" / "a"
    place.mkdir(parents=True, exist_ok=True)
    (place / "plugin.py").write_text(code)
    manifest = {
        "schema_version": 1,
        "id": "a.plugin",
        "version": "1.2",
        "entrypoint": "plugin",
        "hooks": list(hooks),
        "priority": 3,
    }
    (place / "plugin.json").write_text(json.dumps(manifest))
    return nx.discover(folder / "plugins")


def build(folder: Path, **options: Any) -> nx.Kernel:
    run = options.pop("run", None) or nx.Run.create(folder / "data")
    given = {"specs": SPECS, "middleware": [], "builtins": {"own": Own()}, **options}
    return nx.Kernel("demo", run=run, **given)


@pytest.fixture(scope="module")
def kernel(confinement: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nx.Kernel]:
    """A running kernel with a plugin and builtins."""
    folder = tmp_path_factory.mktemp("kernel")
    with build(folder, plugins=plugins(folder)) as running:
        yield running


# -- composing -----------------------------------------------------------------------------------


def test_the_stack_is_never_left_to_chance(tmp_path: Path) -> None:
    """Leaving ``middleware`` out is an error that says what to pass."""
    run = nx.Run.create(tmp_path / "data")
    with pytest.raises(nx.KernelConfigError, match=r"standard_stack\(run\), or \[\]"):
        nx.Kernel("demo", specs=SPECS, run=run)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"specs": [object()]}, "no hookspec of project 'demo'"),
        ({"specs": [Specs, Specs]}, "is declared twice"),
        ({"builtins": {"own": object()}}, "has no hookimpl"),
        ({"paths": {"media": "/x"}}, r"no template \{media\}; known: audit_db_path, cache_dir"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    """When the kernel is built, before anything is started."""
    with pytest.raises(nx.KernelConfigError, match=words):
        build(tmp_path, **options)


@pytest.mark.usefixtures("confinement")
@pytest.mark.parametrize(
    ("required", "words"),
    [("absent", "required plugin 'absent' was not found; found: a.plugin"), ("a.plugin", "'slow'")],
)
def test_what_is_required_must_run(tmp_path: Path, required: str, words: str) -> None:
    """A plugin that is missing, or disabled, stops the boot with its reason."""
    found = plugins(tmp_path, hooks=("echo",))
    kernel = build(tmp_path, plugins=found, required={required})
    with pytest.raises(nx.NxError, match=words), kernel:
        pass
    with pytest.raises(nx.KernelNotRunning, match="failed to boot"):
        kernel.call("echo", value=1)


# -- states --------------------------------------------------------------------------------------


def test_a_kernel_runs_inside_with_alone(tmp_path: Path) -> None:
    """Calls before it say so, by every way there is to call."""
    kernel = build(tmp_path)
    calls = [
        lambda: kernel.call("echo", value=1),
        lambda: kernel.call(echo, value=1),
        lambda: kernel.hook.echo(value=1),
        lambda: kernel.hook.began.call_historic(kwargs={"value": 1}),
        lambda: kernel.options(key="k").call("echo", value=1),
        lambda: kernel.capability("store.records").get(key=1),
        lambda: asyncio.run(kernel.acall("echo", value=1)),
    ]
    for call in calls:
        with pytest.raises(nx.KernelNotRunning, match="make the call inside `with kernel:`"):
            call()
    kernel.close()


@pytest.mark.usefixtures("confinement")
def test_a_kernel_runs_once(tmp_path: Path) -> None:
    """It cannot be entered again, and closing it again is no error."""
    kernel = build(tmp_path)
    with kernel:
        assert kernel.hook.echo(value=1) == [["own", 1]]
        with pytest.raises(nx.KernelNotRunning, match="is running"), kernel:
            pass
    kernel.close()
    for use in (lambda: kernel.call("echo", value=1), kernel.__enter__):
        with pytest.raises(nx.KernelNotRunning, match="build a new one"):
            use()


class Breaks:
    """A middleware that breaks when it is closed."""

    name = "breaks"

    def boot(self, facts: Any) -> None:
        pass

    def around(self, call: Any) -> Any:
        return (yield call)

    def close(self) -> None:
        raise OSError("on its way out")


class Closes(Breaks):
    """A middleware that remembers that it was closed."""

    name = "closes"
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.usefixtures("confinement")
def test_a_middleware_that_breaks_at_the_end_ends_alone(tmp_path: Path) -> None:
    """The others are closed, processes and threads have ended; then its exception goes on."""
    before, last = set(threading.enumerate()), Closes()
    kernel = build(tmp_path, middleware=[Closes(), Breaks(), last], plugins=plugins(tmp_path))
    with pytest.raises(OSError, match="on its way out"), kernel:
        assert kernel.hook.echo(value=1) == [["own", 1], ["plugin", 1]]
    assert last.closed
    assert set(threading.enumerate()) <= before


class Meddles(Closes):
    """A middleware that writes into the arguments that it is shown."""

    name = "meddles"

    def around(self, call: Any) -> Any:
        call.arguments["value"] = "something else"
        return (yield call)


@pytest.mark.usefixtures("confinement")
def test_a_middleware_cannot_write_into_the_arguments(tmp_path: Path) -> None:
    """What the stack is shown is read-only: what it judged is what crosses."""
    with build(tmp_path, middleware=[Meddles()], plugins=plugins(tmp_path)) as kernel:
        outcomes = kernel.call("echo", value=1)
    assert {o.error.code for o in outcomes if o.error} == {"middleware.failed"}
    assert len(outcomes) == 2


# -- closing under way -----------------------------------------------------------------------------


class Counts(Closes):
    """A middleware that counts calls under way."""

    name = "counts"

    def __init__(self) -> None:
        self.under_way = 0
        self.left_over = 0
        self.started = threading.Semaphore(0)

    def around(self, call: Any) -> Any:
        self.under_way += 1
        self.started.release()
        outcome = yield call
        self.under_way -= 1
        return outcome

    def close(self) -> None:
        self.left_over = self.under_way


@pytest.mark.usefixtures("confinement")
def test_closing_ends_the_calls_of_other_threads_first(tmp_path: Path) -> None:
    """Each has its outcome, the stack has seen it, the audit has its end; nobody is left waiting.

    One call is in the worker, the others wait for it.
    """
    counts, results = Counts(), []
    run = nx.Run.create(tmp_path / "data")
    stack = [nx.Audit(run.audit_log), counts]
    kernel = build(tmp_path, run=run, middleware=stack, plugins=plugins(tmp_path))
    threads = [
        threading.Thread(target=lambda: results.append(kernel.call("slow", value=1)))
        for _ in range(4)
    ]
    with kernel:
        for thread in threads:
            thread.start()
        for _ in threads:
            counts.started.acquire()
    for thread in threads:
        thread.join()
    assert counts.left_over == 0
    assert [(r.error.code, r[0].fault) for r in results] == [("kernel.not_running", "host")] * 4
    report = verify(run.audit_log.path)
    assert report.ok, report


@pytest.mark.usefixtures("confinement")
def test_closing_in_an_event_loop_ends_its_calls(tmp_path: Path) -> None:
    """They get their outcome when the loop goes on."""
    counts = Counts()

    async def main() -> Any:
        with build(tmp_path, middleware=[counts], plugins=plugins(tmp_path)) as kernel:
            task = asyncio.ensure_future(kernel.acall("slow", value=1))
            while not counts.under_way:
                await asyncio.sleep(0.001)
        return await task

    result = asyncio.run(main())
    assert result.error.code == "kernel.not_running"


# -- calling -------------------------------------------------------------------------------------


def test_a_hook_is_named_or_shown(kernel: nx.Kernel) -> None:
    """By its name, by its hookspec, as an attribute: the same call."""
    both = [["own", 1], ["plugin", 1]]
    assert kernel.call("echo", value=1).value == both
    assert kernel.call(echo, value=1).value == both
    assert kernel.hook.echo(value=1) == both
    assert kernel.call(Records.get, key=7).value == {"key": 7}


def test_a_function_that_is_no_hookspec_is_named_without_an_address(kernel: nx.Kernel) -> None:
    """The message is the same on every run."""

    def other() -> None:
        pass

    for hook, name in ((other, "<locals>.other"), (Own(), "Own")):
        with pytest.raises(nx.CallRejected, match=f"{name} is no hookspec") as caught:
            kernel.call(hook)  # type: ignore[arg-type]
        assert " at 0x" not in caught.value.message
        assert caught.value.code == "call.unknown_hook"


def test_a_capability_is_called_by_its_methods(kernel: nx.Kernel) -> None:
    """An unknown capability or method is told what there is."""
    assert kernel.capability("store.records").get(key=1) == {"key": 1}
    with pytest.raises(nx.CallRejected, match="no method 'put'; the capability has: get"):
        kernel.capability("store.records").put(key=1)
    with pytest.raises(nx.CallRejected, match=r"declared: store\.records"):
        kernel.capability("store")


def test_callers_do_not_pretend_to_have_other_attributes(kernel: nx.Kernel) -> None:
    """Copying, pickling and inspecting ask for names that are no hooks."""
    for caller in (kernel.hook, kernel.capability("store.records")):
        assert not hasattr(caller, "__deepcopy__")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": {"own", "b", "a"}}, "no plugin 'a'"),
        ({"only": "a.plugin"}, r"several ids: write only=\{'a.plugin'\}"),
        ({"only": 5}, "ids of plugins, not int"),
        ({"only": ["a.plugin", None]}, "ids of plugins, not NoneType"),
        ({"timeout": "5"}, "a number of seconds, not '5'"),
        ({"timeout": [5]}, r"a number of seconds, not \[5\]"),
        ({"timeout": True}, "a number of seconds, not True"),
        ({"timeout": 0}, "more than 0 seconds"),
        ({"timeout": -1.0}, "more than 0 seconds"),
        ({"timeout": float("nan")}, "more than 0 seconds"),
        ({"key": 1.5}, "made of int, str and bytes, not float"),
        ({"key": ("doc", None)}, "made of int, str and bytes, not NoneType"),
        ({"key": True}, "made of int, str and bytes, not bool"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    kernel: nx.Kernel, options: dict[str, Any], words: str
) -> None:
    """At once, and not by the first middleware that stumbles over them."""
    with pytest.raises(nx.CallRejected, match=words):
        kernel.options(**options)


@pytest.mark.parametrize("timeout", [60, 1e9, 10**400, float("inf")])
def test_any_patience_is_allowed(kernel: nx.Kernel, timeout: float) -> None:
    """Years and for ever are timeouts too."""
    caller = kernel.options(timeout=timeout, only={"a.plugin"})
    assert caller.call("echo", value=1).value == [["plugin", 1]]
    assert asyncio.run(caller.acall("echo", value=1)).value == [["plugin", 1]]


def test_a_historic_call_that_fails_says_so(kernel: nx.Kernel) -> None:
    """As under pluggy; nothing is heard of it."""
    heard: list[Any] = []
    with pytest.raises(nx.HookFailed, match="no value"):
        kernel.hook.began.call_historic(heard.append, {"value": None})
    assert heard == []


# -- looking at it ---------------------------------------------------------------------------------


def test_explain_says_who_answers_and_why(kernel: nx.Kernel) -> None:
    """Providers in their order with the reason, and the stack around each."""
    explanation = kernel.explain(echo)
    assert str(explanation).splitlines() == [
        "echo: all at once",
        "  1. own (plain: priority 0, then by id)",
        "  2. a.plugin (plain: priority 3, then by id)",
        "  around each: worker[confined]",
    ]
    assert json.loads(json.dumps(explanation.to_json()))["hook"] == "echo"
    assert str(kernel.explain("began")).startswith("began: historic, all at once")
    assert str(kernel.explain("slow")).startswith("slow: first answer")


def test_explain_tells_what_each_layer_takes(kernel: nx.Kernel) -> None:
    """When it is asked, and from the first call on; a hook that was never called has no numbers."""
    assert kernel.explain("slow").cost is None
    assert str(kernel.explain("slow", cost=True)).endswith("no call of it was measured yet")
    kernel.call("echo", value=1)
    explanation = kernel.explain("echo", cost=True)
    assert explanation.cost is not None
    layers = [each.layer for each in explanation.cost]
    assert layers == ["arguments", "transport", "plugin", "result", "kernel"]
    assert all(each.least_us <= each.median_us <= each.most_us for each in explanation.cost)
    assert "one call of 16 is measured" in str(explanation)
    assert len(json.loads(json.dumps(explanation.to_json()))["cost"]) == 5


def test_a_plugin_is_shown_as_it_stands(kernel: nx.Kernel) -> None:
    """Version, state, level, counts; builtins are no plugins."""
    before = kernel.plugins["a.plugin"].calls
    kernel.hook.echo(value=1)
    view = kernel.plugins["a.plugin"]
    assert (view.version, view.state, view.level) == ("1.2", "ready", "confined")
    assert (view.calls - before, view.error, view.starts) == (1, None, 1)
    assert view.witnessed
    assert list(kernel.plugins) == ["a.plugin"]
    assert [view.id for view in kernel.health().values()] == ["a.plugin"]
    assert kernel.health()["a.plugin"].state == "ready"
    assert json.loads(json.dumps(view.to_json()))["error"] is None


# -- what is remembered ----------------------------------------------------------------------------


@pytest.mark.usefixtures("confinement")
def test_a_known_plugin_starts_at_its_first_call(tmp_path: Path) -> None:
    """The second boot asks nobody; the call finds everything as if it had."""
    found = plugins(tmp_path)
    starts = []
    for _ in range(2):
        with build(tmp_path, plugins=found) as kernel:
            starts.append(kernel.plugins["a.plugin"].starts)
            assert kernel.hook.echo(value=1) == [["own", 1], ["plugin", 1]]
    assert starts == [1, 0]


@pytest.mark.usefixtures("confinement")
@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda text: text.replace('"hook": "slow"', '"hook": "began"'), [None, None]),
        (lambda text: text.replace('"value"', ""), ["plugin.handshake", None]),
        (lambda text: "{", [None, None]),
    ],
    ids=["other hooks", "other arguments", "cut off"],
)
def test_a_wrong_memory_mends_itself(tmp_path: Path, change: Any, codes: list[Any]) -> None:
    """At worst it costs the plugin one run, and not all those to come."""
    found = plugins(tmp_path)
    with build(tmp_path, plugins=found):
        pass
    (entry,) = (tmp_path / "data" / "cache" / "impls").iterdir()
    entry.write_text(change(entry.read_text()))
    told = []
    for _ in range(2):
        with build(tmp_path, plugins=found) as kernel:
            outcome = kernel.options(only={"a.plugin"}).call("echo", value=1)[0]
            told.append(outcome.error and outcome.error.code)
    assert told == codes
