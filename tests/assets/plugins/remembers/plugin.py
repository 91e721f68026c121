import os

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self):
        self.memory = []

    @hookimpl
    def told(self, value):
        self.memory.append(value)
        return list(self.memory)

    @hookimpl
    def act(self, value):
        if value == "end":
            os._exit(1)
        return list(self.memory)
