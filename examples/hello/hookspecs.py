import nxkernel as nx

hookspec = nx.HookspecMarker("hello")


@hookspec
def greet(name: str) -> str:
    """Return a greeting for *name*."""
