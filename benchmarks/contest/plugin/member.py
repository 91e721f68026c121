"""Does the work of the contest; its manifest says which part of it."""

import nxkernel as nx

hookimpl = nx.HookimplMarker("bench")


class Member:
    """One plugin of many."""

    def __init__(self, context):
        """Keep the way to the kernel."""
        self.context = context

    @hookimpl
    def everybody(self, value):
        """Return *value*."""
        return value


class First(Member):
    """The plugin that does the work."""

    @hookimpl
    def echo(self, value):
        """Return *value*."""
        return value

    @hookimpl
    def pages(self, data):
        """Read one byte of each page and return how many there are."""
        return len(data.view()[::4096].tobytes())

    @hookimpl
    def nest(self, value):
        """Ask another plugin."""
        return self.context.call("answer", value=value)


class Second(Member):
    """The plugin that is asked."""

    @hookimpl
    def answer(self, value):
        """Return *value*."""
        return value
