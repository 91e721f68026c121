import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def act(self, value):
        print("going to sleep", flush=True)
        time.sleep(value)
        return value

    @hookimpl
    def echo(self, value):
        return value
