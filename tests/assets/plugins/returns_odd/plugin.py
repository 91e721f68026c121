import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def cycle():
    ring = [1]
    ring.append({"again": ring})
    return ring


def tower(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


class Sly(str):
    """Looks like a string."""


MAKERS = {
    "object": lambda: {"frame": [1, object()]},
    "set": lambda: {"frame": {1, 2}},
    "nan": lambda: [0.0, float("nan")],
    "infinity": lambda: float("-inf"),
    "big int": lambda: [2**70],
    "cycle": cycle,
    "surrogate": lambda: {"name": "\udcff"},
    "deep": lambda: tower(100_000),
    "many": lambda: [0] * (2**20 + 1),
    "int key": lambda: {"frame": {1: "one"}},
    "function": lambda: cycle,
    "generator": lambda: (n for n in range(3)),
    "tuple": lambda: (1, (2, "three")),
    "subclass": lambda: Sly("text"),
    "bytearray": lambda: bytearray(b"abc"),
}


class Plugin:
    @hookimpl
    def act(self, value):
        return MAKERS[value]()

    @hookimpl
    def echo(self, value):
        return value
