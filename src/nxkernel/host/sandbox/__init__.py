"""The sandbox of a worker, one backend for each operating system.

A level is a set of guarantees; a backend says by which mechanism each one holds. On Linux the level
`confined` is Landlock for files, TCP ports, abstract sockets and signals, a seccomp allow-list with
argument checks for everything else, no capabilities, no_new_privs and resource limits. It needs no
root, no package of the system, no namespaces, and works inside ordinary containers.

Roads not taken, each with its problem:

* **Landlock alone.** It has no hook for chmod, chown, utime and extended attributes, none for
  another process's limits, priority or processors, and none for UDP. Its TCP rules are walked
  around by MPTCP, MSG_FASTOPEN and listen() without bind(). Of 192 attempts it missed 79.
* **seccomp alone.** A filter sees pointers, never the path behind them: it can forbid open, not
  open of one file. Of 192 attempts it missed 42.
* **Namespaces and a pivoted root** (bubblewrap, nsjail). Stronger where they exist, and the level
  `isolated` is theirs; but unprivileged user namespaces are switched off on many distributions and
  in most containers, sometimes only at a later step, so they cannot carry the default level.
* **A setuid helper** (Firejail, isolate). The helper is the attack surface: it runs as root for
  anybody, and following a symbolic link in the box has given root more than once.
* **A virtual machine or a user-space kernel** (gVisor, Firecracker). Another order of cost for
  starting and calling, needs KVM or a runtime, and is not something that pip installs.
* **WebAssembly.** Strong isolation of memory, but no native wheels: no numpy, no onnxruntime.
* **Restricting Python itself** (RestrictedPython, audit hooks, a patched `open`). `ctypes`, any C
  extension and many frames walk out of it. Guards in Python are for clear errors and determinism.
* **Bindings from PyPI** (pyseccomp, landlock and others). Unmaintained, in need of libseccomp, or
  months old; best effort by default, where we must fail closed; and slow to build in each child,
  where a prebuilt program and a prebuilt ruleset need two system calls.
* **Seccomp user notification** (sandlock). A supervisor that decides per call can fake answers, but
  costs a round trip of tens of microseconds for each, and races on memory behind pointers.
* **AppArmor, SELinux, a systemd unit.** They need the administrator: not a property that a library
  can give to the application that imports it.
"""
