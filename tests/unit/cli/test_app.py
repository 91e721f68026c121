"""Finding the embedder's application."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

import click
import pytest

import nxkernel as nx
from nxkernel.errors import KernelConfigError
from nxkernel_cli.app import composed, load_app


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A module ``theapp``, importable, in a folder without ``pyproject.toml``."""
    module = ModuleType("theapp")
    monkeypatch.setitem(sys.modules, "theapp", module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return module


def test_a_factory_is_called(app: ModuleType) -> None:
    """The kernel is what the factory returns."""
    made = nullcontext("kernel")
    app.build = lambda: made
    assert load_app("theapp:build") is made


def test_a_context_manager_function_gives_the_kernel(app: ModuleType) -> None:
    """An application may open and close more than its kernel."""

    @contextmanager
    def build() -> Iterator[str]:
        yield "kernel"

    app.build = build
    with load_app("theapp:build") as kernel:
        assert kernel == "kernel"


def test_a_kernel_is_not_booted_to_see_what_it_is_made_of(app: ModuleType, tmp_path: Path) -> None:
    """Of a context manager's, the manager decides."""
    run = nx.Run.create(tmp_path / "data")
    app.kernel = nx.Kernel("demo", specs=[], run=run, middleware=[])
    with composed("theapp:kernel") as kernel:
        assert kernel is app.kernel
        with pytest.raises(nx.KernelNotRunning):
            kernel.release("anybody")
    app.manager = nullcontext(app.kernel)
    with composed("theapp:manager") as kernel:
        assert kernel is app.kernel


def test_an_object_is_used_as_it_is(app: ModuleType) -> None:
    """A kernel at module level needs no factory; a dotted path finds it."""
    app.inner = ModuleType("inner")
    app.inner.kernel = nullcontext()
    assert isinstance(load_app("theapp:inner.kernel"), AbstractContextManager)


def test_pyproject_names_the_application(app: ModuleType, tmp_path: Path) -> None:
    """In the project's own folder the option may be left out."""
    app.build = nullcontext
    (tmp_path / "pyproject.toml").write_text('[tool.nxkernel]\napp = "theapp:build"\n')
    assert isinstance(load_app(None), nullcontext)


@pytest.mark.parametrize("text", ["", "[tool]", "[tool.nxkernel]\napp = 3", "not toml ["])
def test_without_a_name_the_usage_is_shown(app: ModuleType, tmp_path: Path, text: str) -> None:
    """An application that nobody named is a usage error, however it is missing."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(click.UsageError, match=r"--app|cannot be read"):
        load_app(None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("theapp", "is not MODULE:FACTORY"),
        (":build", "is not MODULE:FACTORY"),
        ("nosuchmodule:build", "cannot be imported"),
        ("theapp:nothing", "cannot be imported"),
        ("theapp:number", "made a int, not a Kernel"),
    ],
)
def test_a_name_that_leads_nowhere_is_a_usage_error(
    app: ModuleType, name: str, reason: str
) -> None:
    """Each way to be wrong has its own words."""
    app.number = 3
    with pytest.raises(click.UsageError, match=reason):
        load_app(name)


def test_a_factory_that_raises_is_told_from_a_bug_of_ours(app: ModuleType) -> None:
    """The application's own exception is named as such."""

    def build() -> None:
        raise ValueError("no such camera")

    app.build = build
    with pytest.raises(click.ClickException, match="theapp:build raised ValueError: no such cam"):
        load_app("theapp:build")


def test_an_error_of_nxkernel_keeps_its_code(app: ModuleType) -> None:
    """A kernel that cannot be composed says so with its own code."""

    def build() -> None:
        raise KernelConfigError("two of a kind")

    app.build = build
    with pytest.raises(KernelConfigError):
        load_app("theapp:build")
