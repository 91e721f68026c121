import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        while True:
            try:
                self.context.call("ask_c", value=["raise"])
            except nx.NxError:
                pass

    @hookimpl
    def echo(self, value):
        return value
