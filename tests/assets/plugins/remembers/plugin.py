import os
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context
        self.memory = []

    @hookimpl
    def told(self, value):
        if value == f"{self.context.plugin_id} waits":
            self.wait()
        self.memory.append(value)
        return list(self.memory)

    @hookimpl
    def act(self, value):
        if value == "wait and end":
            self.wait()
        if value in ("end", "wait and end"):
            os._exit(1)
        return list(self.memory)

    @hookimpl
    def wrapped(self, value):
        self.wait()

    def wait(self):
        """Until somebody puts a file beside the one that says so."""
        place = str(self.context.run_dir)
        open(os.path.join(place, "waits"), "w").close()
        while not os.path.exists(os.path.join(place, "go")):
            time.sleep(0.005)
