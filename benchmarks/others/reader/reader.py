"""Reads a page: a thousand tokens, as an OCR would find them."""

import nxkernel as nx

hookimpl = nx.HookimplMarker("bench")

#: Made once: what is measured is what it takes to carry and to check them.
PAGE = [
    {
        "text": f"word{number}",
        "confidence": 9000 + number % 1000,
        "box": [10 + number, 20, 90 + number, 40],
        "line": number // 12,
    }
    for number in range(1000)
]


class Reader:
    """The same page at every call."""

    @hookimpl
    def read(self):
        """Return the tokens."""
        return PAGE
