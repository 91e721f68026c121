import os
import sys

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        print("printed")
        sys.stdout.buffer.write(b"\xff is not UTF-8\n")
        sys.stdout.flush()
        os.write(1, b"\x1b[31mred\n")
        print("complained", file=sys.stderr)
        self.context.log.warning("logged")
        return value

    @hookimpl
    def echo(self, value):
        return value
