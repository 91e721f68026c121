import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def reply(self, value):
        return value

    @hookimpl
    def replies(self, value):
        return value

    @hookimpl
    def backed(self, value):
        raise RuntimeError("no answer")

    @hookimpl
    def relayed(self, value):
        return self.context.call("reply", value=value)
