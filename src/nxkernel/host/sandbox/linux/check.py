"""Read from outside whether a worker is confined, whatever it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nxkernel._linux import status_fields
from nxkernel.errors import SandboxUnavailable

__all__ = ["check_fork", "check_status", "threads_of"]

_NO_CAPABILITIES: Final = "0000000000000000"
#: Field of /proc/<pid>/status -> what a confined worker has there before it runs any plugin code.
EXPECTED: Final = {
    "NoNewPrivs": "1",
    "Seccomp": "2",  # filter mode
    "CapInh": _NO_CAPABILITIES,
    "CapPrm": _NO_CAPABILITIES,
    "CapEff": _NO_CAPABILITIES,
    "CapAmb": _NO_CAPABILITIES,
    "Threads": "1",  # a thread from before the filter would be outside of it
}


def check_status(pid: int, *, isolated: bool = False) -> None:
    """Hold /proc/*pid*/status against what a confined worker must show.

    An *isolated* one also has a number of its own in a process id namespace below this one.

    Call it after the worker reports itself confined and before it is sent any plugin code; hold a
    pidfd meanwhile, so that the pid cannot be another process. Landlock does not show here: the
    worker's own self-test witnesses it.

    Raises:
        SandboxUnavailable: a field differs or is missing, or the process is gone.
    """
    try:
        fields = status_fields(pid)
    except OSError as error:
        raise SandboxUnavailable(
            "the worker's status cannot be read: it ended, or /proc is not mounted",
            details={"guarantee": "status", "errno": error.errno},
        ) from error
    wrong = {name: fields.get(name) for name in EXPECTED if fields.get(name) != EXPECTED[name]}
    shown = ", ".join(f"{n} is {v}, expected {EXPECTED[n]}" for n, v in sorted(wrong.items()))
    if isolated and not _is_further_in(fields):
        raise SandboxUnavailable(
            "the worker is not isolated: NSpid has no number below this process's own namespace",
            details={"guarantee": "status"},
        )
    if wrong:
        raise SandboxUnavailable(
            f"the worker is not confined: {shown}", details={"guarantee": "status", **wrong}
        )


def check_fork(pid: int, template: int) -> None:
    """Hold /proc/*pid*/status of a call's process against that of the *template* it was forked of.

    Call it after :func:`check_status`, or alone where there are no walls.

    Raises:
        SandboxUnavailable: it is no child of the template, or has no filter of its own beside it.
    """
    try:
        fork, parent = status_fields(pid), status_fields(template)
    except OSError as error:
        raise SandboxUnavailable(
            "the status of a call's process cannot be read: it or its template has ended",
            details={"guarantee": "status", "errno": error.errno},
        ) from error
    if fork.get("PPid") != str(template):
        raise SandboxUnavailable(
            "the process of a call is no child of its template", details={"guarantee": "status"}
        )
    # Linux before 5.9 counts no filters; there the self-test alone witnesses it.
    own, inherited = (int(each.get("Seccomp_filters", "0")) for each in (fork, parent))
    if inherited and own != inherited + 1:
        raise SandboxUnavailable(
            "the process of a call has no filter of its own", details={"guarantee": "seccomp"}
        )


def threads_of(pid: int) -> int | None:
    """Return how many threads a process has, or None where that cannot be read."""
    try:
        return int(status_fields(pid)["Threads"])
    except (OSError, KeyError, ValueError):
        return None


def _is_further_in(fields: Mapping[str, str]) -> bool:
    ours = status_fields()["NSpid"].split()
    return len(fields.get("NSpid", "").split()) > len(ours)
