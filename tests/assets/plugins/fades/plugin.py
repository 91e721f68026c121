import os
import pathlib
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def fail(_):
    raise ValueError("no")


WAYS = {
    "exit": lambda: os._exit(3),
    "raise": lambda: fail(None),
    "sleep": lambda: time.sleep(3600),
    "bad": lambda: object(),
}


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def again(self, value):
        return self.attempt(value)

    @hookimpl
    def once(self, value):
        return self.attempt(value)

    def attempt(self, value):
        """`value` is a name of this call, and what each try does; the last one goes on for ever."""
        name, *ways = value
        tries = pathlib.Path(self.context.run_dir) / name
        tries.touch()
        before = tries.stat().st_size
        tries.write_text("x" * (before + 1))
        drawn = self.context.rng.random()
        for _ in range(2):
            self.context.call("echo", value=name)
        way = ways[min(before, len(ways) - 1)]
        return WAYS[way]() if way in WAYS else [before + 1, drawn]
