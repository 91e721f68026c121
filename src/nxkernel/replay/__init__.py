"""Replay: recorded calls are made again in fresh workers, and their bytes compared.

``session`` reads a recording, ``rerun`` makes its calls again, ``comparing`` names the first
difference, ``circumstances`` what has changed around the plugins since then, ``reports`` puts it
together; ``cases`` and ``stand_ins`` are for tests. In Python::

    from nxkernel.replay import Session, replay, rerun

    report = replay("data/runs/r000001", build_kernel)     # a run in one line

    with Session.open("data/runs/r000001") as session:
        verdicts = rerun(session, build_kernel)            # all calls, in their order
        calls = [session.call("17")]
        verdicts = rerun(session, build_kernel, calls)     # these, in this order

``rerun`` is what everything else here is built on, and what runs the same calls under other
circumstances: those of the kernel that the factory returns, or ``surroundings=``.
"""

from nxkernel.replay.circumstances import Circumstance
from nxkernel.replay.comparing import Difference
from nxkernel.replay.reports import Report, replay
from nxkernel.replay.rerun import rerun
from nxkernel.replay.session import Session
from nxkernel.replay.verdicts import Verdict

__all__ = ["Circumstance", "Difference", "Report", "Session", "Verdict", "replay", "rerun"]
