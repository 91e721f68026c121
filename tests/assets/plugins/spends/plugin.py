import threading
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def burn(ms):
    until = time.process_time() + ms / 1000
    while time.process_time() < until:
        pass


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        if "thread" in value:
            thread = threading.Thread(target=burn, args=(value["thread"],))
            thread.start()
            thread.join()
        burn(value.get("cpu", 0))
        hoard = bytearray(value.get("memory", 0) << 20)
        hoard[::4096] = b"\1" * len(hoard[::4096])
        for read, written in value.get("rows", ()):
            self.context.count(rows_read=read, rows_written=written)
        if "nested" in value:
            self.context.call("act", value=value["nested"])
        if "raises" in value:
            raise ValueError("spent")
        return len(hoard)

    @hookimpl
    def echo(self, value):
        return value
