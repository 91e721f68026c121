"""How much of a stream its worker may send in one turn, and what it has sent of that."""

from __future__ import annotations

import attrs

from nxkernel._wire import Inline, Item, Window

__all__ = ["Ration"]


@attrs.define
class Ration:
    """A window, and what is left of it: the item that uses up either part is the last one."""

    _whole: Window
    _left: Window = attrs.Factory(lambda: Window(0, 0))

    def begin(self) -> Window:
        """Return what the turn that begins now may send."""
        self._left = Window(self._whole.items, self._whole.size)
        return self._left

    def take(self, item: Item) -> bool:
        """Count *item*; False if it came behind the last one."""
        left = self._left
        if left.items <= 0 or left.size <= 0:
            return False
        size = len(item.payload)
        for piece in item.blobs:
            size += len(piece.data) if isinstance(piece, Inline) else piece.size
        self._left = Window(left.items - 1, left.size - size)
        return True

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has come in this turn."""
        return self._left.items == self._whole.items

    @property
    def items(self) -> int:
        """How many may still come, at most."""
        return self._left.items
