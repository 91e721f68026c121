"""Randomness in a worker: who draws it, what seeds it, and what is refused.

A guard in Python: early, clear and attributed errors for ordinary code. What compiled code draws by
itself is closed by the sandbox, in mode ``strict``; see ADR 32.
"""

from nxkernel.worker.chance.control import Chance, Outer
from nxkernel.worker.chance.standard import prepare, remember
from nxkernel.worker.chance.watch import Finding

__all__ = ["Chance", "Finding", "Outer", "prepare", "remember"]
