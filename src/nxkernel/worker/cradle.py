"""Bears a worker that may start programs: first of its own pid namespace, with a nanny outside.

Whoever ends the first process of a pid namespace ends all of its descendants, whatever they did to
get away: no session, no double fork and no adopting leads out of it. The nanny is the process that
made the namespace, which cannot be in it herself. She waits, ends as the worker ends, and takes it
along when she is ended; the zygote knows her alone.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct

from nxkernel import _linux
from nxkernel._linux import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, prctl
from nxkernel._namespaces import bound_processes, enter_processes

__all__ = ["Cradle"]

#: The worker's pid, or the errno, negative, for which there is none.
_WORD = struct.Struct("<i")


class Cradle:
    """The way from a nanny to her zygote, for one worker."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def look(self, nanny: int) -> tuple[int, int]:
        """In the zygote: return the worker's pid and pidfd.

        Where there is none, the errno, negative, and *nanny*, the pidfd of a process that ends.

        Raises:
            OSError: there is one, but this process has no room for its pidfd.
        """
        self._theirs.close()
        word, descriptors, _, _ = socket.recv_fds(self._ours, _WORD.size, 1)
        self._ours.close()
        if len(word) < _WORD.size:
            return -1, nanny
        worker = int(_WORD.unpack(word)[0])
        if worker > 0 and not descriptors:
            raise OSError(errno.EMFILE, "the worker's descriptor could not be received")
        return worker, descriptors[0] if descriptors else nanny

    def close(self) -> None:
        """In the zygote: be done with it."""
        self._ours.close()
        self._theirs.close()

    def bear(self, zygote: int, tasks: int) -> int:
        """In the fork of the zygote: return as the worker, with the pid that its parent has there.

        The caller's own process stays behind as the nanny and never returns.
        """
        self._ours.close()
        try:
            enter_processes()
            # After the namespaces: new credentials forget it.
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != zygote:
                os._exit(0)
            hear, say = os.pipe()
            worker = _linux.fork()
            if worker == 0:
                self._begin(say, tasks)
                return 0  # A parent outside of the namespace has no number in it.
            self._tell(worker, os.read(hear, _WORD.size))
        except OSError as error:
            self._theirs.send(_WORD.pack(-(error.errno or 1)))
            os._exit(0)
        self._watch(worker)
        return 0

    def _begin(self, say: int, tasks: int) -> None:
        """First in the namespace: bound it, and tell the nanny, or tell her why not."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            bound_processes(tasks)
        except OSError as error:
            os.write(say, _WORD.pack(error.errno or 1))
            os._exit(0)
        os.write(say, _WORD.pack(0))

    def _tell(self, worker: int, word: bytes) -> None:
        refused = _WORD.unpack(word)[0] if word else 1
        if refused:
            raise OSError(refused, os.strerror(refused))
        pidfd = os.pidfd_open(worker)
        socket.send_fds(self._theirs, [_WORD.pack(worker)], [pidfd])

    def _watch(self, worker: int) -> None:
        """The nanny: hold nothing, wait, and end as the worker has ended."""
        prctl(PR_SET_DUMPABLE, 0)
        os.closerange(0, 1 << 20)
        _, status = os.waitpid(worker, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0 and -code not in (signal.SIGSTOP, signal.SIGKILL):
            signal.signal(-code, signal.SIG_DFL)
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code & 0xFF)
