"""Sessions of the project: `nox` runs the checks, `nox -l` lists everything."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types", "imports", "docs"]
# A machine has some of the supported interpreters; the others are passed over, also on CI.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]


def offer_pyenv() -> None:
    """Have pyenv's `python3.12` and its like start what pyenv holds.

    Without a word of the user's they start the versions of one folder alone and say "not found" of
    the others, which would be passed over although they are here.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    versions = [path.name for path in root.glob("*.*.*") if path.name.replace(".", "").isdigit()]
    versions.sort(key=lambda version: int(version.rpartition(".")[2]))
    newest = {version.rpartition(".")[0]: version for version in versions}
    found = [newest[series] for series in PYTHONS if series in newest]
    if found:
        os.environ.setdefault("PYENV_VERSION", ":".join(found))


offer_pyenv()


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the checkout with *extras*, and what the dependency *groups* name."""
    project = nox.project.load_toml(ROOT / "pyproject.toml")
    requirements = nox.project.dependency_groups(project, *groups)
    session.install("-e", f".[{extras}]" if extras else ".", *requirements)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests on each Python of this machine; arguments go to pytest."""
    install(session, "test", "libraries", extras="demo")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format; `nox -s lint -- --fix` mends what can be mended."""
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")


@nox.session
def types(session: nox.Session) -> None:
    """Type-check the sources under `mypy --strict`, as Linux, macOS and Windows see them."""
    install(session, "types", extras="demo")
    session.run("mypy")
    session.run("python", "tools/check_platforms.py")


@nox.session
def imports(session: nox.Session) -> None:
    """Hold the import contract of `.importlinter`: layers, process boundary, single doors."""
    install(session, "imports", extras="cli")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "docs", extras="cli")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def storms(session: nox.Session) -> None:
    """Run the storms at full size and print what they counted; arguments go to pytest."""
    install(session, "test", extras="cli")
    session.run(
        "python", "-m", "pytest", "tests/storms", "--storm=full", "-p", "no:randomly",
        *session.posargs,
    )  # fmt: skip


@nox.session
def bench(session: nox.Session) -> None:
    """Measure calls, starts and peers in one run and print the table of ratios."""
    install(session, extras="cli,fast")
    peers = Path(session.virtualenv.location) / "peers"
    python = str(peers / "bin" / "python")
    if not Path(python).exists():
        session.run("python", "-m", "venv", str(peers))
    needed = ROOT / "benchmarks" / "contest" / "requirements.txt"
    session.run(python, "-m", "pip", "install", "-q", "-r", str(needed), external=True)
    session.run("python", "-m", "benchmarks.run", "--peers", python, *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist, the wheel from it, and check that the wheel carries its contracts."""
    session.install(
        *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "build")
    )
    target = Path(session.create_tmp()) / "dist"
    session.run("python", "-m", "build", "--outdir", str(target))
    wheel = max(target.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    session.run("python", "tools/check_wheel.py", str(wheel))


@nox.session
def demo(session: nox.Session) -> None:
    """Run the main job: `nxkernel demo`; arguments go to it."""
    install(session, extras="demo")
    session.run("nxkernel", "demo", *session.posargs)
