"""The parent's side of the process boundary.

``zygote`` starts the warm process and asks it for workers, ``channel`` is one worker's wire,
``slot`` is the place of a plugin's worker with its gate, ``transport`` carries one call through a
slot, ``supervisor`` decides whether a dead worker may be replaced, ``housekeeping`` drains logs and
hears of exits between calls, ``sandbox/`` builds the confinement.

The host believes no byte from a worker, and of its death only what the zygote's pidfd says.
"""
