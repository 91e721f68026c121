"""Every attempt that there is: our own, those of others, those on the wire and on namespaces."""

from __future__ import annotations

from typing import Final

import attrs

from tests.escapes.attempts import ATTEMPTS, Attempt, Expectation, denied, gives
from tests.escapes.given import GIVEN
from tests.escapes.isolation import ISOLATION
from tests.escapes.protocol import IMPORTS, PROTOCOL

__all__ = ["CORPUS"]

_ABSENT, _READ_ONLY = denied("ENOENT"), denied("EROFS")
#: What our own attempts meet at level `isolated` instead: the file is not there, or the root around
#: the plugin's folders is read-only.
_AT_ISOLATED: Final[dict[str, Expectation]] = {
    **dict.fromkeys(
        (
            "net-allow-unix_pair_reconnected",
            "read-hard_link_into_own_folder",
            "read-map_path_descriptor",
            "read-send_path_descriptor",
            "read-stat",
            "write-chmod_by_path_descriptor",
            "write-chown_by_path_descriptor",
        ),
        _ABSENT,
    ),
    **dict.fromkeys(
        (
            "write-link_out_of_own_folder",
            "write-remove_own_folder",
            "write-rename_own_folder",
            "write-terminal",
        ),
        _READ_ONLY,
    ),
    "resource-many_files": denied("ENOSPC"),
    "leak-hostname": gives(False),
    "leak-capabilities_of_host": denied("ESRCH"),
}


def _ours() -> tuple[Attempt, ...]:
    return tuple(attrs.evolve(a, isolated=_AT_ISOLATED.get(a.id)) for a in ATTEMPTS)


CORPUS = (*_ours(), *GIVEN, *ISOLATION, *PROTOCOL, *IMPORTS)
