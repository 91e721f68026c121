"""Type-check the sources as macOS and Windows see them.

What Linux alone has is left out, by the list below; whatever else cannot be found on another system
is an error. It is no proof that the code runs there, but nobody can use `os.eventfd` unawares.
"""

from __future__ import annotations

import subprocess
import sys

PLATFORMS = ("darwin", "win32")
#: Reached on Linux alone: system calls, namespaces, the zygote, the level `confined`, terminals.
LINUX_ONLY = (
    "src/nxkernel/_linux.py",
    "src/nxkernel/_namespaces.py",
    "src/nxkernel/host/cells.py",
    "src/nxkernel/host/nursery.py",
    "src/nxkernel/host/sandbox/linux/",
    "src/nxkernel/host/signed.py",
    "src/nxkernel/host/terminal.py",
    "src/nxkernel/host/zygote.py",
    "src/nxkernel/kernel/debugging.py",
    "src/nxkernel/plugins/environments/",
    "src/nxkernel/witness/",
    "src/nxkernel/worker/bootstrap.py",
    "src/nxkernel/worker/child.py",
    "src/nxkernel/worker/confine.py",
    "src/nxkernel/worker/cradle.py",
    "src/nxkernel/worker/spares.py",
    "src/nxkernel/worker/template.py",
    "src/nxkernel/worker/zygote.py",
    "src/nxkernel_cli/debug.py",
)


def errors(platform: str) -> list[str]:
    """Return mypy's errors for *platform*, but for Linux's own modules."""
    command = [sys.executable, "-m", "mypy", "--platform", platform, "--no-warn-unreachable"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        return [done.stdout + done.stderr]
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    return [line for line in found if not line.startswith(LINUX_ONLY)]


def main() -> int:
    """Print what was found; return whether there was anything."""
    found = {platform: errors(platform) for platform in PLATFORMS}
    for platform, lines in found.items():
        print(f"{platform}: {'no errors' if not lines else f'{len(lines)} errors'}")
        print("\n".join(lines), end="\n" if lines else "")
    return int(any(found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
