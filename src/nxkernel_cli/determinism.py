"""What ``plugins check --determinism`` says: examples of plugins, made twice and varied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import describe
from nxkernel_cli.output import note, say

if TYPE_CHECKING:
    from nxkernel.plugins.discovery import Candidate
    from nxkernel.variation.findings import Draw, Finding, Report
    from nxkernel.variation.kit import Check

__all__ = ["check_facts", "checks", "print_check", "print_report", "project_of", "report_facts"]

#: How a plugin's code names its project.
_MARKER = re.compile(r"""\bHookimplMarker\(\s*["']([A-Za-z0-9_.-]+)["']\s*\)""")
_STATES = {
    "warm": 'state: "warm" will do; what one example gives does not follow from the others',
    "fresh": 'state: it needs "fresh", or to keep nothing from call to call',
    "unknown": "state: not known; it takes two examples or more that are otherwise the same",
}


def project_of(candidate: Candidate) -> str:
    """Return the one project that the plugin's code names; the code is read, not run.

    Raises:
        UsageError: when it names none, or several.
    """
    names: set[str] = set()
    for path in sorted(candidate.folder.rglob("*.py")):
        if not path.name.startswith("test_"):
            names.update(_MARKER.findall(path.read_text(encoding="utf-8", errors="replace")))
    if len(names) != 1:
        what = f"several projects ({', '.join(sorted(names))})" if names else "no project"
        raise click.UsageError(
            f"the code of {candidate.id} names {what} in HookimplMarker(...); give --project NAME"
        )
    return names.pop()


def checks(found: Sequence[Candidate], project: str | None) -> dict[Path, Check]:
    """Make the examples of *found*, those of one project together; return checks by folder."""
    from nxkernel.variation.kit import check

    by_project: dict[str, list[Candidate]] = {}
    for candidate in found:
        by_project.setdefault(project or project_of(candidate), []).append(candidate)
    return {
        candidate.folder: each
        for name, group in sorted(by_project.items())
        for candidate, each in zip(group, check(group, name), strict=True)
    }


# -- for programs ------------------------------------------------------------------------------


def check_facts(check: Check | None) -> dict[str, Any]:
    """Return a check as an entry of a plugin's facts, or nothing where there is none."""
    if check is None:
        return {}
    return {
        "ok": check.ok,
        "determinism": {
            "examples": list(check.examples),
            "failed": [{"example": name, "error": error} for name, error in check.failed],
            "findings": [_finding_facts(finding) for finding in check.findings],
            "draws": [{"function": draw.function, "site": draw.site} for draw in check.draws],
            "state": check.state,
            "varied": list(check.varied),
            "trials": check.trials,
            "error": describe(check.error) if check.error else None,
        },
    }


def report_facts(report: Report) -> dict[str, Any]:
    """Return what a search over recorded calls found."""
    plugins = sorted({call.plugin for call in report.calls})
    return {
        "calls": len(report.calls),
        "findings": [_finding_facts(finding) for finding in report.findings],
        "state": {plugin: report.state(plugin) for plugin in plugins},
        "varied": list(report.varied),
        "trials": report.trials,
        "cut_short": report.cut_short,
    }


def _finding_facts(finding: Finding) -> dict[str, Any]:
    """Return what a search found of one call."""
    return {
        "plugin": finding.call.plugin,
        "hook": finding.call.hook,
        "call": finding.call.label,
        "variations": [{"name": v.name, "how": v.how} for v in finding.variations],
        "path": finding.path,
        "usual": finding.usual,
        "varied": finding.varied,
        "needs": [call.label for call in finding.needs],
        "smallest": finding.whole,
        "sources": [
            {"source": each.source, "fix": each.fix, "held": each.held} for each in finding.advice
        ],
    }


# -- for people --------------------------------------------------------------------------------


def print_check(check: Check | None) -> None:
    """Say what was found of one plugin."""
    if check is None:
        return
    if check.error is not None:
        say(f"      examples could not be made: {check.error}")
        return
    if not check.examples:
        say("      no example: write one into examples/NAME.json beside the manifest, such as")
        say('      {"hook": "HOOK", "arguments": {"ARGUMENT": 1}}')
        return
    for name, error in check.failed:
        say(f"      example {name} fails: {error}")
    for line in _told(check.findings, "example"):
        say(f"      {line}")
    if check.findings:
        _print_draws(check.draws)
    elif not check.failed:
        say(f"      {len(check.examples)} examples give the same every time, whatever is varied:")
        say(f"      {', '.join(check.varied)}")
    note(f"      {_STATES[check.state]}")


def print_report(report: Report) -> None:
    """Say what a search over recorded calls found."""
    for line in _told(report.findings, "call"):
        say(line)
    for plugin in sorted({call.plugin for call in report.calls}):
        note(f"{plugin}: {_STATES[report.state(plugin)]}")
    if report.cut_short:
        note(f"the search was cut short after {report.trials} trials: there may be more")
    differ = len({finding.call.id for finding in report.findings})
    note(f"{len(report.calls)} calls, {differ} of them differ; varied: {', '.join(report.varied)}")


def _told(findings: Iterable[Finding], word: str) -> Iterator[str]:
    """Yield what *findings* say, a line each, those of one source together."""
    by_source: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.call.plugin, finding.call.hook, finding.variations, finding.needs)
        by_source.setdefault(key, []).append(finding)
    for same in by_source.values():
        yield from _lines(same, word)


def _lines(same: Sequence[Finding], word: str) -> Iterator[str]:
    first = same[0]
    names = ", ".join(finding.call.label for finding in same)
    how = "; ".join(f"{each.name}: {each.how}" for each in first.variations)
    who = f"{_who(first, word)}{first.call.hook}, {word} {names}"
    yield f"{who}: differs {f'with {how}' if how else 'by itself'}"
    where = f"at {first.path}: " if first.path else ""
    yield f"  {where}{first.usual}, then {first.varied}"
    if first.needs:
        yield f"  after {word} {', '.join(call.label for call in first.needs)} in one process"
    for each in first.advice:
        yield f"  it follows from {each.source}"
        yield f"  {each.fix}"
        if each.held:
            yield f"  in ordinary runs nxkernel holds it still: {each.held}"
    if not first.whole:
        yield "  the search was cut short; less may do"


def _who(finding: Finding, word: str) -> str:
    """The plugin, where the lines are not below its name anyway."""
    return f"{finding.call.plugin}, " if word == "call" else ""


def _print_draws(draws: Sequence[Draw]) -> None:
    for draw in draws:
        say(f"      it asks for {draw.function} at {draw.site}")
