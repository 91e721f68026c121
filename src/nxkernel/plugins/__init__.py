"""What may run: manifests, discovery, verified copies, the lockfile and grants.

``manifest`` reads what a plugin declares and ``discovery`` finds it, neither of them running any of
its code. ``codestore`` copies the code while it hashes it, ``lockfile`` compares the digests with
those that were accepted, ``grants`` and ``settings`` say with what authority and which settings it
runs, ``compat`` which of the plugins fit together and in what order.
"""
