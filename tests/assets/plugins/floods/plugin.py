import os

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

LINE = b"x" * 65535 + b"\n"


class Plugin:
    @hookimpl
    def act(self, value):
        for _ in range(value):
            os.write(1, LINE)
            os.write(2, LINE)
        os.write(2, b"the end\n")
        return value

    @hookimpl
    def echo(self, value):
        return value
