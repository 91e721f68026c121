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


def caused():
    try:
        located()
    except LookupError as error:
        raise ValueError("because of that") from error


def handling():
    try:
        located()
    except LookupError:
        raise ValueError("meanwhile")  # noqa: B904


def grouped():
    found = []
    for function in (located, caused):
        try:
            function()
        except Exception as error:
            found.append(error)
    raise ExceptionGroup("all of it", found)


def noted():
    error = ValueError("hard to find")
    error.add_note("it was \x1b[31mthe third line\nof the file")
    raise error


def cyclic():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    raise one


def deep(depth=200):
    deep(depth - 1) if depth else located()


def endless_chain():
    error = ValueError("0")
    for number in range(1, 100):
        error, last = ValueError(f"{number} " + "x" * 10**5), error
        error.__cause__ = last
    raise error


class Trap(Exception):
    """Whatever is asked of it is another failure."""

    __notes__ = property(lambda self: 1 / 0)
    __cause__ = property(lambda self: 1 / 0)
    __context__ = property(lambda self: 1 / 0)
    __traceback__ = property(lambda self: 1 / 0)
    __suppress_context__ = property(lambda self: 1 / 0)


class Hidden(type):
    """Classes that will not say what they are."""

    __module__ = property(lambda cls: 1 / 0)
    __name__ = property(lambda cls: 1 / 0)


class Nameless(Exception, metaclass=Hidden):
    pass


def nameless():
    raise Nameless("who is it")


def trapped():
    raise Trap("stepped into")


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
    "caused": caused,
    "handling": handling,
    "grouped": grouped,
    "noted": noted,
    "cyclic": cyclic,
    "deep": deep,
    "endless chain": endless_chain,
    "trapped": trapped,
    "nameless": nameless,
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
