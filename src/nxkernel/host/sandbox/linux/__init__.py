"""The levels `confined` and `isolated` on Linux, built here, applied in the worker.

Landlock and seccomp hold a `confined` worker; an `isolated` one has, beside them, namespaces and a
root of its own.

`policy` is the entry: `build(ConfinementPlan(...))` returns a ruleset descriptor, a filter program
and limits. `probe` tries the kernel's features in a process of its own, `check` reads from outside
whether a worker is confined. `landlock`, `bpf`, `seccomp` and `namespaces` are the parts.
"""
