"""The level `confined` on Linux: Landlock and seccomp, built here, applied in the worker.

`policy` is the entry: `build(ConfinementPlan(...))` returns a ruleset descriptor, a filter program
and limits. `probe` tries the kernel's features in a process of its own, `check` reads from outside
whether a worker is confined. `landlock`, `bpf` and `seccomp` are the parts.
"""
