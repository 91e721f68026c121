"""Reads every page of what it gets, and gives as much."""

import nxkernel as nx

hookimpl = nx.HookimplMarker("bench")


class Viewer:
    """A plugin that works on binary data."""

    def __init__(self):
        self.made = {}

    @hookimpl
    def pages(self, data):
        """Return how many pages *data* has; one byte of each is read."""
        view = data.view() if isinstance(data, nx.Blob) else memoryview(data)
        return len(view[::4096].tobytes())

    @hookimpl
    def pages_all(self, data):
        """Return the same."""
        return self.pages(data)

    @hookimpl
    def produce(self, size, raw):
        """Return *size* bytes, always the same."""
        if (size, raw) not in self.made:
            self.made[size, raw] = bytes(size) if raw else nx.Blob(bytes(size))
        return self.made[size, raw]
