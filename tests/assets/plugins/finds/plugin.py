import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def act(self, value):
        return value

    @hookimpl
    def echo(self, value):
        return value

    @hookimpl
    def first(self, value):
        return value

    @hookimpl
    def ask_b(self, value):
        return value

    @hookimpl
    def wrapped(self, value):
        return value["found"]
