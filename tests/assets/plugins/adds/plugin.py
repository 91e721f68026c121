import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl(wrapper=True)
    def wrapped(self, value):
        results = yield
        return [*results, value["added"]]
