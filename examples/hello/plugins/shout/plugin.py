import nxkernel as nx

hookimpl = nx.HookimplMarker("hello")


class Plugin:
    @hookimpl
    def greet(self, name: str) -> str:
        return f"HELLO, {name.upper()}!"
