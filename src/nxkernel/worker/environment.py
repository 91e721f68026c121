"""A worker in an environment of its own: the plugin's libraries in the place of the runtime's."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from types import ModuleType

from nxkernel._wire import Environment
from nxkernel.errors import NxError
from nxkernel.worker.door import Door

__all__ = ["enter"]


def enter(environment: Environment, readable: Sequence[str]) -> None:
    """Let everything that is imported from now on come from *environment*.

    Runs in the confined worker, as its ``.pth`` files are code. *readable* are the folders and
    files that the walls leave open, empty where there are none.

    Raises:
        NxError: the zygote was not started so that its libraries can be set aside.
    """
    door = next((each for each in sys.meta_path if isinstance(each, Door)), None)
    if door is None:
        raise NxError("this worker cannot set its own libraries aside")
    door.set_aside()
    for folder in door.library:
        if readable and not _is_below(folder, readable):
            sys.path_importer_cache[folder] = _Unlisted(folder)
    sys.prefix = sys.exec_prefix = environment.prefix
    sys.executable = environment.python
    # Asked before, it would go on naming the zygote's folders.
    sys.modules.pop("sysconfig", None)
    import site

    site.addsitedir(environment.site)


def _is_below(path: str, places: Sequence[str]) -> bool:
    real = os.path.realpath(path)
    return any(real == place or real.startswith(place + os.sep) for place in places)


class _Unlisted:
    """Finds modules in a folder of which every entry may be read but one, and which has no list.

    That is the standard library's, where the packages of the interpreter lie inside of it.
    """

    #: No module is passed over for want of a list; see ``denials``.
    lists = False

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module by the names that its file may have."""
        place = os.path.join(self._folder, fullname.rpartition(".")[2])
        package = os.path.join(place, "__init__.py")
        if os.path.isfile(package):
            return importlib.util.spec_from_file_location(
                fullname, package, submodule_search_locations=[place]
            )
        files = (place + suffix for suffix in (".py", *EXTENSION_SUFFIXES))
        found = next(filter(os.path.isfile, files), None)
        return importlib.util.spec_from_file_location(fullname, found) if found else None
