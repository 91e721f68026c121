import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    """A class without a context."""

    @hookimpl(trylast=True, specname="ordered")
    def some_other_name(self, value):
        return "last"
