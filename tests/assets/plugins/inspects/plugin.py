import os
import stat
import sys
import threading

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

KINDS = {
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFREG: "file",
    stat.S_IFSOCK: "socket",
}


def descriptors():
    for number in range(1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        yield f"{number} {KINDS.get(stat.S_IFMT(mode), 'other')}"


class Plugin:
    @hookimpl
    def act(self, value):
        return {
            "environment": dict(os.environ),
            "descriptors": list(descriptors()),
            "arguments": [*sys.argv, *sys.orig_argv],
            "modules": sorted(sys.modules),
            "folder": os.getcwd(),
            "pid": os.getpid(),
            "threads": [[thread.name, thread.native_id] for thread in threading.enumerate()],
            "terminal": os.isatty(0),
        }
