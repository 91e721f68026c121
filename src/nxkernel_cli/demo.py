"""``nxkernel demo``: screenshots in, cited answers out, every plugin in its own process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.example import load_screenmem
from nxkernel_cli.failures import FAILED, INTEGRITY, OK
from nxkernel_cli.output import Styled, emit, json_option, note, say, stderr_console, table

if TYPE_CHECKING:
    from nxkernel.kernel import Kernel
    from nxkernel.run import Run

__all__ = ["demo"]

PICTURE = "answers.png"


@click.command(short_help="Run the example: screenshots in, cited answers out.")
@click.option("--ask", "asked", metavar="TEXT", multiple=True, help="Ask this instead; repeatable.")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of your own PNG screenshots.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep audit, store and picture [default: a new temporary folder].",
)
@click.option(
    "--seed", type=int, metavar="N", default=7, show_default=True, help="Seed of the run."
)
@json_option
def demo(
    asked: tuple[str, ...], data: Path | None, out: Path | None, seed: int, as_json: bool
) -> int:
    """Boot the example `screenmem`, read screenshots, answer questions with citations.

    Every plugin runs in a confined process of its own. Then the audit is verified, and each
    plugin's cost is shown. Exits with 1 if an answer or a citation is wrong or something could
    not be read, with 4 if the audit does not verify.
    """
    from nxkernel.run import Run

    app = load_screenmem()
    questions = _questions(app.QUESTIONS, asked, own=data is not None)
    folder = out or Path(tempfile.mkdtemp(prefix="nxkernel-demo-"))
    run = Run.create(folder, seed=seed)
    report = _play(app, run, data or app.SCREENS, questions, quiet=as_json)
    report |= _audited(run)
    report["ok"] = _is_ok(report)
    if as_json:
        emit(report)
    else:
        _print(report, questions)
    if not report["audit"]["verified"]:
        return INTEGRITY
    return OK if report["ok"] else FAILED


def _questions(path: Path, asked: Sequence[str], *, own: bool) -> list[dict[str, Any]]:
    """Return the questions to ask; those of the example come with what they expect."""
    if asked or own:
        return [{"id": f"a{number}", "question": text} for number, text in enumerate(asked, 1)]
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["questions"]
    return found


# -- the run -----------------------------------------------------------------------------------


def _play(
    app: Any, run: Run, media: Path, questions: Sequence[Mapping[str, Any]], *, quiet: bool
) -> dict[str, Any]:
    """Boot, ingest, ask and draw; return what came of it."""
    lap = _laps(run.clock.monotonic)
    seconds: dict[str, float] = {}
    with app.build_kernel(run, media) as kernel, app.Memory(kernel, run) as memory:
        seconds["boot"] = lap()
        with _progress(quiet) as step:
            memory.ingest(step)
        seconds["ingest"] = lap()
        answers = [memory.ask(question["question"]) for question in questions]
        seconds["ask"] = lap()
        picture = app.annotate(memory, answers, run.data_dir / PICTURE)
        seconds["picture"] = lap()
        report = _costs(kernel)
    return {
        "ok": False,
        **report,
        "questions": _scored(app, questions, answers),
        "citations": _citations(answers),
        "screens": sorted(frame.name for frame in memory.frames.values()),
        "answers": [{"id": q["id"], **a} for q, a in zip(questions, answers, strict=True)],
        "missing": memory.missing,
        "picture": picture,
        "data_dir": run.data_dir,
        "run": run.id,
        "seed": run.seed,
        "seconds": seconds,
    }


def _laps(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a function that gives the seconds since it was last called."""
    last = clock()

    def lap() -> float:
        nonlocal last
        before, last = last, clock()
        return round(last - before, 3)

    return lap


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Show a bar on a terminal; nothing where nobody looks."""
    console = stderr_console()
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading screenshots", total=None)
        yield lambda name, done, total: bar.update(task, completed=done, total=total)


def _costs(kernel: Kernel) -> dict[str, Any]:
    """Return the weakest level that holds a plugin, and what each of them cost."""
    from nxkernel.settings import LEVELS

    views = kernel.plugins.values()
    names = ("id", "calls", "errors", "p50_us", "start_ms")
    return {
        "level": LEVELS[max(LEVELS.index(view.level) for view in views)],
        "plugins": [{name: getattr(view, name) for name in names} for view in views],
    }


def _scored(
    app: Any, questions: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Count answers; ``correct`` is None where nobody said what to expect."""
    refused = sum(answer["state"] == "no_evidence" for answer in answers)
    answered = sum(bool(answer["claims"]) for answer in answers)
    if not all("expected" in question for question in questions) or not questions:
        return {
            "asked": len(answers),
            "answered": answered,
            "correct": None,
            "no_evidence": refused,
            "wrong": [],
        }
    unanswerable = sum("no_evidence" in question["expected"] for question in questions)
    return {
        **app.evaluate(questions, answers),
        "answerable": len(questions) - unanswerable,
        "unanswerable": unanswerable,
    }


def _citations(answers: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        name: sum(answer["citations"][name] for answer in answers) for name in ("checked", "valid")
    }


def _audited(run: Run) -> dict[str, Any]:
    """Verify the log against the checkpoint that this process has in its own memory."""
    from nxkernel.audit.reader import AuditReader, verify

    path = run.audit_log.path
    found = verify(path, run.audit_log.checkpoint)
    with AuditReader(path) as reader:
        calls = sum(record.calls for record in reader.runs(run.id))
    return {
        "audit": {"calls": calls, "verified": found.ok},
        "audit_problems": found.problems,
        "checkpoint": found.head,
    }


def _is_ok(report: Mapping[str, Any]) -> bool:
    citations = report["citations"]
    failed = any(answer["state"] == "error" or answer["errors"] for answer in report["answers"])
    return (
        report["audit"]["verified"]
        and citations["checked"] == citations["valid"]
        and not report["questions"]["wrong"]
        and not report["missing"]
        and not failed
    )


# -- for people --------------------------------------------------------------------------------


def _print(report: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> None:
    for number, (question, answer) in enumerate(zip(questions, report["answers"], strict=True), 1):
        _print_answer(number, question, answer, wrong=answer["id"] in report["questions"]["wrong"])
    if not questions:
        note('no question was asked; add --ask "..."')
    for each in report["missing"]:
        say(f"missing: {each.name}: {each.plugin} {each.hook}: [{each.code}] {each.message}")
    _print_costs(report)
    _print_sum(report)


def _print_answer(
    number: int, question: Mapping[str, Any], answer: Mapping[str, Any], *, wrong: bool
) -> None:
    say(f"{number:>2}  {question['question']}")
    for claim in answer["claims"]:
        say(f"    {claim['text']}")
        for each in claim["citations"]:
            box = ",".join(map(str, each["bbox"]))
            say(f"      {each['name']} [{box}] “{each['quote']}”")
    if not answer["claims"]:
        say(f"    {answer['state']}")
    for each in answer["rejected"]:
        say(f"    dropped a claim: [{each['reason']}] {each['message']}")
    for each in answer["errors"]:
        say(f"    {each['plugin']}: [{each['code']}] {each['message']}")
    if wrong:
        say(f"    WRONG, expected: {_expected(question['expected'])}")


def _expected(expected: Mapping[str, Any]) -> str:
    return "no_evidence" if expected.get("no_evidence") else " … ".join(expected["contains"])


def _print_costs(report: Mapping[str, Any]) -> None:
    say()
    table(
        ("plugin", "calls", "errors", "median ms", "start ms"),
        [
            (
                row["id"],
                row["calls"],
                Styled(row["errors"], "bold red" if row["errors"] else ""),
                None if row["p50_us"] is None else f"{row['p50_us'] / 1000:.2f}",
                None if row["start_ms"] is None else f"{row['start_ms']:.0f}",
            )
            for row in report["plugins"]
        ],
        right=("calls", "errors", "median ms", "start ms"),
    )
    say()


def _print_sum(report: Mapping[str, Any]) -> None:
    asked, cited, audit = report["questions"], report["citations"], report["audit"]
    if asked["correct"] is None:
        say(f"questions: {asked['asked']} asked, {asked['answered']} answered")
    else:
        say(
            f"questions: {asked['correct']} of {asked['answerable']} correct, "
            f"{asked['no_evidence']} of {asked['unanswerable']} refused for lack of evidence"
        )
    say(f"citations: {cited['valid']} of {cited['checked']} check out")
    verified = "verified" if audit["verified"] else "DOES NOT VERIFY"
    say(f"audit:     {audit['calls']} calls on record, {verified}")
    for problem in report["audit_problems"]:
        say(f"  {problem.kind}: {problem.message}")
    say(f"level:     {report['level']}, each plugin in a process of its own")
    if report["picture"]:
        say(f"picture:   {report['picture']}")
    say(f"data:      {report['data_dir']}")
