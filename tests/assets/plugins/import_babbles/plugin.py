import os

os.write(4, b"\xff" * 64)

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def act(self, value):
        return value
