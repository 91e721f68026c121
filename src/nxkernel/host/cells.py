"""Cells: the process of one call of a plugin with fresh state, from its fork to its end.

The host lays in the nursery of the plugin's template what the process is to have, and tells it to
fork. Which process that gave it learns from the system, by who writes the first byte; so that a
template, which has run a plugin's import, can put nobody else in its place.
"""

from __future__ import annotations

import os
import socket
import time

from nxkernel import _forks
from nxkernel._system.holding import close_all, into, open_pipes
from nxkernel._system.linux import PidfdProcess, exit_code
from nxkernel._wire import Fork, FromWorker, Hello
from nxkernel.dispatch.effects import Effects, Io
from nxkernel.errors import KernelNotRunning, SandboxUnavailable, WorkerLost
from nxkernel.host.arena import Arena
from nxkernel.host.custody import Custody, end, give_back
from nxkernel.host.frame import Frame
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import Launch, no_files
from nxkernel.host.memory import memory_file, read_only
from nxkernel.host.sandbox.linux.check import check_fork
from nxkernel.host.signed import SignedChannel, signed
from nxkernel.host.workers import Exit, Worker

__all__ = ["Birth", "Cell"]

#: Seconds in which a process that has ended is collected by its template.
_COLLECTED_S, _LOOK_S = 0.02, 0.001


class Cell(Custody):
    """The place of one call's process, beside that of its template."""

    def __init__(self, keeper: Keeper, worker: Worker, template: Worker) -> None:
        slot = keeper.slot.beside()
        super().__init__(
            keeper.plugin,
            slot=slot,
            log=keeper.log,
            report=keeper.report,
            answer_s=keeper.answer_s,
            cpu_seconds=keeper.cpu_seconds,
            patient=keeper.patient,
            memory_kills=keeper.memory_kills,
            edition=keeper.edition,
        )
        slot.worker = worker
        self.generation = worker.generation
        self._keeper = keeper
        self._template = template
        #: Its end is nobody's doing: it has answered, or it was asked to end.
        self._done = False
        #: Its wrapper has been told to end.
        self._forsaken = False

    @property
    def launched(self) -> Launch | None:
        """What its template was started with."""
        return self._keeper.launched

    @property
    def books(self) -> Custody:
        """Its plugin's: one account for what all calls write."""
        return self._keeper

    def _occupied(self, occupied: bool) -> None:
        self._keeper.taken(occupied)

    def heard_from(self, worker: Worker) -> None:
        """The template has made a process that answers."""
        self._keeper.heard_from(self._template)

    # A call that takes its process down is a failed call; what counts is the template's end.

    def _died(self, worker: Worker) -> None:
        end(worker)

    def _ended(self, worker: Worker) -> None:
        end(worker)

    def _publish(self) -> None:
        return

    # -- its end -------------------------------------------------------------------------

    def loser(self, generation: int) -> str | None:
        """What took it down, which may have been what took its template: it ends with that."""
        return super().loser(generation) or self._keeper.loser(self._template.generation)

    def dismiss(self, worker: Worker, frame: Frame) -> Effects[None]:
        """End the process of a call that is answered, and wait until it is gone.

        Whatever it has left running goes with it, before anybody hears of the answer.
        """
        pidfd = worker.process.pidfd if isinstance(worker.process, PidfdProcess) else -1
        self._done = True
        self.slot.lose(worker, frame, end)
        if pidfd >= 0:
            yield Io(pidfd, None, None)

    def drop(self) -> None:
        """End a process that nobody calls and nobody will."""
        worker = self.slot.worker
        self._done = True
        if worker is not None and self.slot.evict(worker, end):
            self._dying.append(worker)

    def forsake(self, token: tuple[int, int], now: float) -> None:
        """Have its wrapper end, and then the process."""
        self._forsaken = True
        super().forsake(token, now)

    def let_go(self) -> None:
        """End its process when it has answered what it was asked."""
        self._forsaken = True

    def pinged(self, worker: Worker) -> None:
        """It is there; and if that was the answer of a wrapper's end, it is done."""
        super().pinged(worker)
        if self._forsaken and not worker.forsaken:
            self.drop()

    def retire(self, by: str = "") -> None:
        """Let no call in any more, and end the process under the call that is on it."""
        self._done = self._done or not self.slot.occupied
        super().retire(by)

    def buried(self, worker: Worker) -> None:
        """Give back what the process held; report its exit if that was out of turn."""
        if self._done:
            give_back(worker)
        else:
            super().buried(worker)
            self._keeper.last_exit = self.last_exit
            by = self.loser(self.generation)
            if by is not None:  # Who comes back to it finds no cell any more.
                self._keeper.slot.note_loss(self.generation, by)
        self._keeper.cells.pop(worker.generation, None)


class Birth:
    """A process for one call, before it is anybody's."""

    def __init__(self, keeper: Keeper, template: Worker) -> None:
        self._keeper = keeper
        self._template = template
        self._log: list[int] = []
        #: Those of its arena, and what it has of the first of them.
        self._files: list[int] = []
        self._lent: list[int] = []
        self._sockets: list[tuple[socket.socket, socket.socket]] = []
        self._channels: list[SignedChannel] = []
        self._processes: list[PidfdProcess] = []
        self._adopted = False

    @property
    def channel(self) -> SignedChannel:
        """Where it will say hello."""
        return self._channels[0]

    def hear(self) -> FromWorker | None:
        """Return its next whole message, or None."""
        return self.channel.next()

    def begin(self) -> None:
        """Have the template fork.

        Raises:
            SandboxUnavailable: the host has too many files open.
        """
        with _forks.whole():
            try:
                self._open()
            except OSError as error:
                raise no_files(error) from None
            self._hand_over()

    def _open(self) -> None:
        launch = self._keeper.launched
        assert launch is not None, "a template was started"
        into(self._sockets, signed)
        open_pipes(self._log, 1)
        os.set_blocking(self._log[0], False)
        into(self._files, memory_file)
        into(self._files, memory_file)
        read_only(self._lent, self._files[0])
        down, up = self._files
        arena = Arena(down, up, launch.max_frame, lasting=launch.walled)
        self._channels.append(SignedChannel(self._sockets[0][0], launch.largest, arena))

    def _hand_over(self) -> None:
        theirs = self._sockets[0][1]
        try:
            if self._template.nursery is not None:
                arena = [*self._lent, *self._files[1:]]
                self._template.nursery.lay([theirs.fileno(), self._log[1], *arena])
                self._template.channel.send(Fork())
        except OSError:
            # It is gone, or takes nothing: our end will say that nobody is at the other one.
            return
        finally:
            theirs.close()
            os.close(self._log.pop())
            close_all(self._lent)
            self._files.clear()  # The channel's now.

    def adopt(self, hello: Hello) -> Cell:
        """Return the cell of the process that said *hello*.

        Raises:
            SandboxUnavailable: it is not what it must be.
            WorkerLost: it has ended meanwhile.
            KernelNotRunning: the kernel was closed meanwhile.
        """
        keeper, template, pid = self._keeper, self._template, self.channel.writer
        try:
            into(self._processes, _process, pid)
        except OSError:
            raise _lost(keeper) from None
        self._check(pid, hello)
        keeper.slot.generation += 1
        worker = Worker(
            process=self._processes[0],
            channel=self.channel,
            log=keeper.log,
            log_fd=self._log[0],
            generation=keeper.slot.generation,
            level=template.level,
            log_from=keeper.log.total,
        )
        cell = Cell(keeper, worker, template)
        lone = _Lone(self._processes[0].pidfd)
        if not keeper.slot.unless_closed(lambda: _enter(keeper, worker, cell)):
            lone.close()
            raise KernelNotRunning("the kernel was closed before the call was made")
        self._adopted = True
        keeper.housekeeper.watch_lone(worker, lone)
        return cell

    def _check(self, pid: int, hello: Hello) -> None:
        try:
            self._keeper.hold_against(self._template.level, pid, hello.witnessed)
            check_fork(pid, self._template.pid)
        except SandboxUnavailable:
            if self._processes[0].has_ended():
                # There was nobody left to be looked at: a death, not a missing guarantee.
                raise _lost(self._keeper) from None
            raise

    def end(self) -> None:
        """Let go of everything, unless it is a cell's by now."""
        if self._adopted:
            return
        for process in self._processes:
            process.kill()
            process.close()
        for channel in self._channels:
            channel.close()
        for ours, theirs in self._sockets:
            ours.close()
            theirs.close()
        if not self._channels:
            close_all(self._files)
        close_all(self._lent)
        close_all(self._log)


def _enter(keeper: Keeper, worker: Worker, cell: Cell) -> None:
    keeper.cells[worker.generation] = cell


def _process(pid: int) -> PidfdProcess:
    return PidfdProcess(pid, os.pidfd_open(pid))


def _lost(keeper: Keeper) -> WorkerLost:
    return WorkerLost(
        f"plugin {keeper.plugin!r}: the process of the call ended before the call was made",
        code="plugin.crashed",
        plugin=keeper.plugin,
    )


class _Lone:
    """Hears of one process's end from the system itself: its parent is the plugin's."""

    def __init__(self, pidfd: int) -> None:
        self._held = [os.dup(pidfd)]
        self.fd = self._held[0]

    def exit(self) -> Exit:
        """Return how it ended; nothing where the system does not say."""
        until = time.monotonic() + _COLLECTED_S
        while (code := exit_code(self.fd)) is None and time.monotonic() < until:
            time.sleep(_LOOK_S)
        return Exit(None, None) if code is None else Exit.of(code)

    def close(self) -> None:
        """Close the descriptor."""
        close_all(self._held)
