import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def act(self, value):
        while True:
            pass

    @hookimpl
    def echo(self, value):
        return value
