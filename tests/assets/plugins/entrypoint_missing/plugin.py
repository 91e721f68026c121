import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugins:
    @hookimpl
    def act(self, value):
        return value
