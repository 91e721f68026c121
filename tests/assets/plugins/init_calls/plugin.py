import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        context.call("ask_c", value=[])

    @hookimpl
    def act(self, value):
        return value
