import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        return self.context.call("echo", value=value)
