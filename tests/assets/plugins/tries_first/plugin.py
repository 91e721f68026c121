import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, name):
        self.name = name

    @hookimpl(tryfirst=True)
    def ordered(self):
        return self.name


plugin = Plugin("first")
