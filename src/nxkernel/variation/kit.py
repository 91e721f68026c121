"""The conformance kit: plugins' examples, made as usual and varied, without their application."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from nxkernel._temporary import temporary
from nxkernel.errors import NxError
from nxkernel.kernel.inspection import inspect
from nxkernel.kernel.vectors import pinned
from nxkernel.plugins.discovery import Candidate
from nxkernel.settings import Sandbox
from nxkernel.types import ImplFacts
from nxkernel.variation.catalogue import processors, rounds
from nxkernel.variation.examples import Examples, read_examples
from nxkernel.variation.findings import Draw, Finding, Report
from nxkernel.variation.places import Places
from nxkernel.variation.search import Progress, search
from nxkernel.variation.stage import Part, Stage

__all__ = ["Check", "check"]

#: Trials of one search.
_MOST: Final = 200


@attrs.frozen(kw_only=True)
class Check:
    """What the kit says of one plugin."""

    id: str
    #: Names of its examples.
    examples: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    #: Examples that fail in the usual conditions: their names, and ``[code] message``.
    failed: tuple[tuple[str, str], ...] = ()
    #: What the guard saw it ask for that follows from no seed.
    draws: tuple[Draw, ...] = ()
    #: Which ``state`` it needs: ``warm``, ``fresh``, or ``unknown``.
    state: str = "unknown"
    #: How many times examples were made.
    trials: int = 0
    #: What was varied, by name.
    varied: tuple[str, ...] = ()
    #: Why nothing was tried.
    error: NxError | None = None

    @property
    def ok(self) -> bool:
        """Whether there are examples, all of them answer, and each gives the same every time."""
        return bool(self.examples) and not (self.error or self.findings or self.failed)


def check(
    candidates: Sequence[Candidate],
    project: str,
    *,
    sandbox: Sandbox | None = None,
    progress: Progress | None = None,
) -> list[Check]:
    """Make the examples of *candidates* twice and varied; return a check for each, in their order.

    *project* is the pluggy project of their markers. Each plugin is in a sandbox of its own.
    Nothing is granted beyond the default policy but a plugin's own folders, its examples' folder as
    ``{media_dir}``, and the hooks that its examples answer.

    Raises:
        SandboxUnavailable: the level of *sandbox* cannot be had.
        KernelConfigError: this program cannot start workers.
    """
    found: dict[str, Check] = {}
    parts = []
    for candidate in candidates:
        part = _part(candidate, project, sandbox)
        if isinstance(part, Part):
            parts.append(part)
        else:
            found[candidate.id] = part
    for group in _groups(parts):
        found |= {each.id: each for each in _checked(group, project, sandbox, progress)}
    return [found[candidate.id] for candidate in candidates]


def _part(candidate: Candidate, project: str, sandbox: Sandbox | None) -> Part | Check:
    if candidate.error is not None:
        return Check(id=candidate.id, error=candidate.error)
    try:
        examples = read_examples(candidate.folder)
    except NxError as error:
        return Check(id=candidate.id, error=error)
    if not examples.calls:
        return Check(id=candidate.id)
    impls = _impls(candidate, project, sandbox)
    if isinstance(impls, NxError):
        return Check(id=candidate.id, examples=_names(examples), error=impls)
    return Part(candidate=candidate, examples=examples, impls=impls)


def _impls(
    candidate: Candidate, project: str, sandbox: Sandbox | None
) -> tuple[ImplFacts, ...] | NxError:
    (seen,) = inspect([candidate], project, sandbox=sandbox)
    return seen.error or seen.impls


def _names(examples: Examples) -> tuple[str, ...]:
    return tuple(each.name for each in examples.calls)


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """One application for all of them, but one of its own for each that calls back.

    There its examples answer, and no other plugin that happens to be there.
    """
    together = [part for part in parts if not part.asks]
    if together:
        yield together
    yield from ([part] for part in parts if part.asks)


def _checked(
    parts: Sequence[Part], project: str, sandbox: Sandbox | None, progress: Progress | None
) -> list[Check]:
    try:
        with temporary("check") as folder:
            stage = Stage(Places(folder), parts, project, sandbox or Sandbox())
            report = search(
                stage,
                stage.subjects,
                rounds(processors(), vectors=bool(pinned())),
                most=_MOST,
                progress=progress,
            )
            return [_check(part, report, stage) for part in parts]
    except NxError as error:
        return [
            Check(id=part.candidate.id, examples=_names(part.examples), error=error)
            for part in parts
        ]


def _check(part: Part, report: Report, stage: Stage) -> Check:
    plugin = part.candidate.id
    return Check(
        id=plugin,
        examples=_names(part.examples),
        findings=tuple(each for each in report.findings if each.call.plugin == plugin),
        failed=tuple(stage.failed.get(plugin, {}).items()),
        draws=tuple(stage.draws.get(plugin, {})),
        state=report.state(plugin),
        trials=report.trials,
        varied=report.varied,
    )
