"""What the zygote's interpreter executes: standard library only, until ``sys.path`` is set.

Its configuration comes over the control socket, not as arguments: a process's arguments can be
read by every plugin that runs in a fork of it.
"""

from __future__ import annotations

import json
import socket
import sys

#: The control socket's descriptor, by agreement with the host.
CONTROL_FD = 3


def main() -> None:
    """Read the launch profile and serve until the host is gone."""
    control = socket.socket(fileno=CONTROL_FD)
    profile = json.loads(control.recv(1 << 20))
    sys.path.extend(path for path in profile["sys_path"] if path not in sys.path)
    sys.dont_write_bytecode = True
    from nxkernel.worker.zygote import serve

    serve(control, profile)


if __name__ == "__main__":
    main()
