import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.token = context.settings["token"]

    @hookimpl
    def act(self, value):
        return self.token == value
