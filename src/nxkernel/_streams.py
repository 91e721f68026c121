"""What one call draws from: generators of several libraries, each from its own draw of the key.

A generator is made when it is first asked for, and is the same object for the rest of the call: a
second one from the same draw would give the same numbers again, which nobody expects.
"""

from __future__ import annotations

import random
import uuid
from importlib import import_module
from typing import Any

import msgspec

from nxkernel._seeds import draw, rng

__all__ = ["Streams"]

#: Bytes of the draw for NumPy: what the pool of a SeedSequence holds.
_NUMPY = 16
#: Bytes of the draw for Torch, whose seeds have 64 bits.
_TORCH = 8
_UUID = 16


class Streams(msgspec.Struct, eq=False):  # for each call: made without a step of the interpreter
    """The generators of one call, or of a plugin's import."""

    #: The call key of the seed tree.
    key: bytes
    _made: dict[str, Any] = msgspec.field(default_factory=dict)
    _uuids: int = 0

    @property
    def rng(self) -> random.Random:
        """The generator of the standard library."""
        if "random" not in self._made:
            self._made["random"] = rng(self.key)
        made: random.Random = self._made["random"]
        return made

    def numpy_rng(self) -> Any:
        """Return the ``numpy.random.Generator``; its bit generator is PCG64."""
        if "numpy" not in self._made:
            import numpy  # The plugin's dependency, not ours.

            entropy = int.from_bytes(draw(self.key, "numpy", _NUMPY), "little")
            bits = numpy.random.PCG64(numpy.random.SeedSequence(entropy))
            self._made["numpy"] = numpy.random.Generator(bits)
        return self._made["numpy"]

    def torch_generator(self, device: str = "cpu") -> Any:
        """Return the ``torch.Generator`` on *device*, with the same seed on each."""
        name = f"torch:{device}"
        if name not in self._made:
            torch: Any = import_module("torch")  # The plugin's dependency, not ours.

            generator = torch.Generator(device=device)
            generator.manual_seed(self.torch_seed())
            self._made[name] = generator
        return self._made[name]

    def torch_seed(self) -> int:
        """Return the seed of Torch, 0 to 2**64 - 1."""
        return int.from_bytes(draw(self.key, "torch", _TORCH), "little")

    def uuid(self) -> uuid.UUID:
        """Return the next UUID: version 4 by its form, the n-th of this call by its bits."""
        use, self._uuids = f"uuid/{self._uuids}", self._uuids + 1
        return uuid.UUID(bytes=draw(self.key, use, _UUID), version=4)
