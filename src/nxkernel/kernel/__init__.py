"""The composition root: builds the parts, boots them in order, makes calls, closes them.

``core`` is the public class, ``roster`` decides which plugins run and with what, ``plant`` holds
the processes, ``registry`` the order of providers, ``desk`` makes calls, ``views`` is what
``explain`` and ``plugins`` show.
"""

from nxkernel.kernel.core import Kernel

__all__ = ["Kernel"]
