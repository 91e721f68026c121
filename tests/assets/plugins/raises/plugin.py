import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def denied():
    open("/etc/passwd")


def addressed():
    raise LookupError(f"no {object()!r} here")


def located():
    raise LookupError(f"in {__file__}")


def surrogate():
    raise LookupError("name \udcff")


def endless():
    raise LookupError("x" * 10**6)


EXCEPTIONS = {
    "ordinary": ValueError("bad value"),
    "textless": ValueError(),
    "exit": SystemExit(7),
    "interrupt": KeyboardInterrupt(),
    "generator exit": GeneratorExit(),
    "unprintable": Unprintable(),
    "group": ExceptionGroup("two", [ValueError("one"), ValueError("other")]),
}
FUNCTIONS = {
    "denied": denied,
    "address": addressed,
    "location": located,
    "surrogate": surrogate,
    "endless": endless,
}


class Plugin:
    @hookimpl
    def act(self, value):
        if value in FUNCTIONS:
            FUNCTIONS[value]()
        raise EXCEPTIONS[value]

    @hookimpl
    def echo(self, value):
        return value
