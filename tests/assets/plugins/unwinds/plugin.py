import os
import random
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context
        self.left = []

    @hookimpl(wrapper=True)
    def wrapped(self, value):
        while value == "goes on":
            try:
                return (yield)
            except GeneratorExit:
                pass
        try:
            return (yield)
        finally:
            self.leave(value)

    def leave(self, value):
        self.left.append(value)
        random.seed(0)
        if value == "hangs":
            time.sleep(3600)
        if value == "raises":
            raise LookupError("on the way out")
        if value == "exits":
            raise SystemExit
        if value == "calls":
            self.context.call("echo", value="from nowhere")

    @hookimpl
    def act(self, value):
        if value == "wait":
            place = str(self.context.run_dir)
            open(os.path.join(place, "busy"), "w").close()
            while not os.path.exists(os.path.join(place, "go")):
                time.sleep(0.005)
        return [self.left, random.random()]
