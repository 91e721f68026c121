"""Recordings: what crossed in each call of a run, in one append-only file of the run directory.

``middleware`` is ``nx.Recording``, which a stack lists; ``pack`` appends to the file and reads it,
``frames`` is its format, ``records`` what stands in it. It is published in
``contracts/recording/``.
"""

from nxkernel.recording.middleware import Recording

__all__ = ["Recording"]
