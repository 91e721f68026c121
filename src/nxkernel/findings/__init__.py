"""What no schema can say of artifacts: ids resolve, boxes lie inside the frame, cells keep apart.

``plans`` finds the artifacts of a value where its schema marks them, ``sight`` knows what one of
them may refer to, ``references`` and ``boxes`` hold for all kinds, and each kind with rules of its
own has a module of its name. ``sieve`` drops what is invalid from where its schema allows it.
Everything here is a function of plain values.
"""

from nxkernel.findings.checks import KINDS, check
from nxkernel.findings.flaws import Flaw
from nxkernel.findings.plans import Group, Plan
from nxkernel.findings.sieve import Sieve, Sifted

__all__ = ["KINDS", "Flaw", "Group", "Plan", "Sieve", "Sifted", "check"]
