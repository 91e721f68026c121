"""Replay: recorded calls are made again in fresh workers, and their bytes compared.

``session`` reads a recording, ``rerun`` makes its calls again, ``comparing`` names the first
difference, ``circumstances`` what has changed around the plugins since then, ``reports`` puts it
together. In Python::

    from nxkernel.replay import Session, rerun

    with Session.open("data/runs/r000001") as session:
        verdicts = rerun(session, build_kernel)            # all calls, in their order
        calls = [session.call("17")]
        verdicts = rerun(session, build_kernel, calls)     # these, in this order

``rerun`` is what everything else here is built on, and what runs the same calls under other
circumstances: those are the kernel's that the factory returns.
"""

from nxkernel.replay.circumstances import Circumstance
from nxkernel.replay.comparing import Difference
from nxkernel.replay.rerun import rerun
from nxkernel.replay.session import Session
from nxkernel.replay.verdicts import Verdict

__all__ = ["Circumstance", "Difference", "Session", "Verdict", "rerun"]
