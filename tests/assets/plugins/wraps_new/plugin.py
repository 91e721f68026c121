import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl(wrapper=True)
    def wrapped(self, value):
        if value == "setup raises":
            raise LookupError("before")
        state = ["entered with", value]
        try:
            result = yield
        except ValueError as error:
            return ["new mended", str(error)]
        if value == "teardown raises":
            raise LookupError("after")
        return ["new", state, result]
