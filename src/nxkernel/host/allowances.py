"""How long a stream's plugin may take, of which only its own time counts, and where it went."""

from __future__ import annotations

import attrs

from nxkernel.host.accounts import Account
from nxkernel.host.frame import Frame
from nxkernel.types import Timing

__all__ = ["Allowance"]


@attrs.define
class Allowance:
    """The time of one stream: whole, and for each item.

    What passes while its consumer is away, and while it waits for its worker, moves both.
    """

    #: When all of it is used up; seconds of the kernel's clock.
    until: float
    #: Seconds for each item, or None.
    item_s: float | None
    #: Since when the plugin has not been at work.
    _since: float
    #: The deadline that the turn under way was given; nested calls may have moved it.
    _given: float = 0.0
    _queue_s: float = 0.0
    _busy_s: float = 0.0
    #: What its turns used.
    account: Account = attrs.Factory(Account)

    def queued(self, seconds: float) -> None:
        """It has waited so long for its worker."""
        self._queue_s += seconds

    def begin(self, frame: Frame, now: float) -> None:
        """The plugin goes on: the time since it stopped was not its own."""
        self.until += now - self._since
        self._since = now
        self._give(frame, now)

    def item(self, frame: Frame, now: float) -> None:
        """An item has come: the time for the next one begins."""
        self._settle(frame, now)
        self._give(frame, now)

    def rest(self, frame: Frame, now: float) -> None:
        """The plugin is not waited for any more, for now."""
        self._settle(frame, now)

    @property
    def timing(self) -> Timing:
        """Where the time went."""
        return Timing(
            queue_us=int(self._queue_s * 1e6),
            transport_us=int(self._busy_s * 1e6),
            plugin_us=self.account.plugin_us,
            used=self.account.used,
            instance=self.account.instance,
        )

    def _settle(self, frame: Frame, now: float) -> None:
        if frame.deadline != self._given:  # not where both are infinite
            self.until += frame.deadline - self._given
        self._given = frame.deadline
        self._busy_s += now - self._since
        self._since = now

    def _give(self, frame: Frame, now: float) -> None:
        limit = self.until if self.item_s is None else min(self.until, now + self.item_s)
        frame.deadline = self._given = limit
