"""Gives back what it gets."""

import nxkernel as nx

hookimpl = nx.HookimplMarker("bench")


class Echo:
    """The smallest plugin that does something."""

    @hookimpl
    def echo(self, value):
        """Return *value*."""
        return value

    @hookimpl
    def echo_all(self, value):
        """Return *value*."""
        return value
