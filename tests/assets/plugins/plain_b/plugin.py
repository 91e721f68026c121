import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def wrapped(self, value):
        if value == "raise":
            raise ValueError("inside")
        return ["b", value]

    @hookimpl
    def ordered(self, value):
        return "b"

    @hookimpl
    def first(self, value):
        return None if value == "nobody" else ["b", value]
