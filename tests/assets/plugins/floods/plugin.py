import os
import threading

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

LINE = b"x" * 65535 + b"\n"


def flood():
    while True:
        os.write(1, LINE)


class Plugin:
    @hookimpl
    def act(self, value):
        if value < 0:
            threading.Thread(target=flood, daemon=True).start()
            return "flooding"
        for _ in range(value):
            os.write(1, LINE)
            os.write(2, LINE)
        os.write(2, b"the end\n")
        return value

    @hookimpl
    def echo(self, value):
        return value
