"""The host's part of the level `isolated`: what a worker's own root holds, and why there is none.

The mechanics are in `nxkernel._namespaces`, which the zygote and its workers apply.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from nxkernel.errors import SandboxUnavailable
from nxkernel.host.sandbox.linux.paths import is_below, outermost

__all__ = ["RootView", "links_on", "processes_refused", "refused", "root_view"]

#: errno of the refused step -> what usually stands behind it.
_ADVICE: Final = {
    errno.ENOSPC: "raise the sysctl user.max_user_namespaces",
    errno.EPERM: (
        "allow unprivileged user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0 "
        "or kernel.unprivileged_userns_clone=1; in a container, its seccomp profile)"
    ),
    errno.EACCES: "let the security module (AppArmor, SELinux) allow user namespaces",
    errno.ENOSYS: "use a kernel with namespaces",
    errno.EINVAL: "use a kernel that has all of them, and a root that is no initramfs",
}
_OTHERWISE: Final = "look at `nxkernel doctor --level isolated`"
#: What needs processes, and how to do without: programs, or calls of their own.
_ASKING: Final = {
    False: ("a grant of exec", "remove permissions.exec from"),
    True: ("fresh state", 'write state = "warm" in'),
}
_MOST_LINKS: Final = 40


@attrs.frozen(kw_only=True)
class RootView:
    """What is in a worker's own root, with the paths of outside; nothing else exists in it."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    #: Symbolic links: (path, target).
    links: tuple[tuple[str, str], ...] = ()
    #: Folders below `write` that become one file system in memory, of *scratch_mb* MiB.
    scratch: tuple[str, ...] = ()
    scratch_mb: int = 64


def processes_refused(number: int | None, *, fresh: bool = False) -> SandboxUnavailable:
    """Return the error of a machine on which a plugin can have no processes of its own.

    *fresh*: they are those of its calls, else the programs that it may start.
    """
    if number == errno.ENOSYS:
        reason = "this kernel has no kernel.pid_max for each pid namespace; use Linux 6.14 or later"
    else:
        name = errno.errorcode.get(number or 0, "an unknown error")
        reason = f"a pid namespace was refused with {name}; {_ADVICE.get(number or 0, _OTHERWISE)}"
    return SandboxUnavailable(
        f"a plugin with {_ASKING[fresh][0]} needs a pid namespace of its own that bounds its "
        f"processes: {reason}, or {_ASKING[fresh][1]} its manifest",
        details={"guarantee": "processes", "errno": number},
    )


def root_view(
    *,
    read: Iterable[str],
    write: Iterable[str],
    names: Iterable[str],
    scratch: Iterable[str],
    scratch_mb: int,
) -> RootView:
    """Return the view of a root with these real paths; those that do not exist are left out.

    A path below another of the same kind comes with it, and one to read below one to write is
    writable, as Landlock has it.

    Args:
        names: paths by which the same files are known, perhaps through symbolic links.
    """
    writable = outermost(filter(os.path.exists, write))
    readable = [p for p in outermost(filter(os.path.exists, read)) if not is_below(p, writable)]
    places = (*readable, *writable)
    links = sorted({link for name in names for link in links_on(name)})
    return RootView(
        read=tuple(readable),
        write=writable,
        links=tuple(link for link in links if not is_below(link[0], places)),
        scratch=tuple(scratch),
        scratch_mb=scratch_mb,
    )


def links_on(path: str) -> Iterator[tuple[str, str]]:
    """Find the symbolic links that *path*, which is absolute, leads through, as (path, target).

    The part of a link's path before its name leads through none.
    """
    done, rest, left = "/", [part for part in path.split("/") if part], _MOST_LINKS
    while rest:
        step = os.path.join(done, rest.pop(0))
        if left and os.path.islink(step):
            left -= 1
            target = os.readlink(step)
            yield step, target
            whole = os.path.normpath(os.path.join(done, target))
            done, rest = "/", [part for part in whole.split("/") if part] + rest
        else:
            done = step


def refused(step: str, errno: int | None) -> SandboxUnavailable:
    """Return the error of a machine that refuses *step* of entering namespaces.

    Args:
        errno: None where it failed otherwise than by a refused system call.
    """
    number = errno or 0
    what = "failed" if errno is None else f"was refused: {os.strerror(errno)}"
    return SandboxUnavailable(
        f"level isolated: {step} {what}; {_ADVICE.get(number, _OTHERWISE)}, "
        'or accept Sandbox(require="confined"), which needs no namespaces',
        details={"guarantee": "namespaces", "step": step, "errno": number},
    )
