import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def act(self, value):
        return bytes(value)
