import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


@hookimpl
def ordered(value):
    return "a"


@hookimpl
def first(value):
    if value == "fails":
        raise ValueError("cannot say")
    return ["a", value] if value == "mine" else None
