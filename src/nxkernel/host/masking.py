"""A plugin's secrets, taken out of what it writes and of what it says about its failures.

This is for accidents: an exception that quotes the address with the key in it, a ``print`` that
stayed in. A plugin that wants to tell its secrets can write them backwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import attrs

from nxkernel.schemas.secrets import MASK
from nxkernel.types import Outcome

__all__ = ["NOTHING", "Masking"]

#: Shorter words are left alone: they would mask much that is no secret.
MIN_LENGTH = 4


class Masking:
    """Puts the mask in the place of some words, however Python or an address writes them."""

    def __init__(self, words: Iterable[str]) -> None:
        forms = {form for word in words if len(word) >= MIN_LENGTH for form in _forms(word)}
        #: The longest first: one word may begin with another.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._bytes = [form.encode("utf-8", "surrogateescape") for form in self._forms]
        self._text = re.compile("|".join(map(re.escape, self._forms))) if forms else None
        self._raw = re.compile(b"|".join(map(re.escape, self._bytes))) if forms else None

    def __repr__(self) -> str:
        return "<masking>"

    def text(self, text: str) -> str:
        """Return *text* with the mask for each of the words."""
        return self._text.sub(MASK, text) if self._text is not None else text

    def value(self, value: Any) -> Any:
        """Return plain *value* with the words masked in each of its texts and keys."""
        if self._text is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def outcome(self, outcome: Outcome) -> Outcome:
        """Return *outcome* with the words masked in its error; a value is the plugin's to give."""
        error = outcome.error
        if self._text is None or error is None:
            return outcome
        masked = attrs.evolve(
            error, message=self.text(error.message), details=self.value(error.details)
        )
        return attrs.evolve(outcome, error=masked)

    def stream(self, held: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Return what may be shown of *held* and *data*, and what has to be held back.

        Held back is an end that may be the beginning of a word.
        """
        if self._raw is None:
            return held + data, b""
        masked = self._raw.sub(MASK.encode(), held + data)
        kept = self._begun(masked)
        return masked[: len(masked) - kept], masked[len(masked) - kept :]

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end of *data* may be the beginning of a word."""
        longest = max(map(len, self._bytes))
        for length in range(min(longest - 1, len(data)), 0, -1):
            end = data[-length:]
            if any(word.startswith(end) for word in self._bytes):
                return length
        return 0


NOTHING = Masking(())


def _forms(word: str) -> set[str]:
    """The ways in which *word* may stand in a text: as it is, as a literal, in an address."""
    encoded = word.encode("utf-8", "surrogatepass")
    literals = {
        repr(word)[1:-1],
        json.dumps(word)[1:-1],
        json.dumps(word, ensure_ascii=False)[1:-1],
    }
    lines = {line for line in word.splitlines() if len(line) >= MIN_LENGTH}
    return {word, *literals, quote(encoded), quote_plus(encoded), *lines}
