import random

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        random.seed(value)
        before = random.random()
        self.context.call("echo", value=value)
        return [before, random.random()]

    @hookimpl
    def echo(self, value):
        random.seed("something else")
        return random.random()
