import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl(specname="ordered")
    def one(self, value):
        return "one"

    @hookimpl(specname="ordered")
    def other(self, value):
        return "other"
