"""Swaps the code of a plugin for evil code and back, in every way that there is, until killed.

``python swapper.py FOLDER SEED``: says "swapping" once it has begun.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path


class Swapper:
    """Stands for somebody who may write to a plugin's folder, and wants other code to run."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.core = folder / "pack" / "core.py"
        self.pack = folder / "pack"
        #: Beside the plugin, on the same file system.
        self.stage = folder.parent.parent / "stage"
        self.stage.mkdir(exist_ok=True)
        self.good = self.core.read_bytes()
        self.evil = self.good.replace(b"good", b"evil")
        self.times = self.core.stat()
        self.dice = dice

    def write(self, data: bytes, name: str = "core.py") -> Path:
        """Make a file outside of the plugin, with the times of the good one."""
        path = self.stage / name
        path.write_bytes(data)
        self.age(path)
        return path

    def age(self, path: Path) -> None:
        """Set times back: size and times are those of the good file."""
        os.utime(path, ns=(self.times.st_atime_ns, self.times.st_mtime_ns))

    # -- ways to get evil code in; each returns what puts the good code back -----------------------

    def in_place(self) -> Callable[[], None]:
        """Overwrite the file's bytes."""

        def put(data: bytes) -> None:
            with self.core.open("r+b") as file:
                file.write(data)
            self.age(self.core)

        put(self.evil)
        return lambda: put(self.good)

    def another_file(self) -> Callable[[], None]:
        """Rename another file over it."""
        os.replace(self.write(self.evil), self.core)
        return lambda: os.replace(self.write(self.good), self.core)

    def link(self) -> Callable[[], None]:
        """Put a link to evil code in its place."""
        target = self.write(self.evil, "evil.py")
        link = self.stage / "link"
        link.symlink_to(target)
        os.replace(link, self.core)
        return lambda: os.replace(self.write(self.good), self.core)

    def another_folder(self) -> Callable[[], None]:
        """Rename another folder into the place of the package."""
        twin, aside = self.stage / "pack", self.stage / "aside"
        shutil.copytree(self.pack, twin)
        (twin / "core.py").write_bytes(self.evil)
        self.age(twin / "core.py")
        os.rename(self.pack, aside)
        os.rename(twin, self.pack)

        def back() -> None:
            os.rename(self.pack, twin)
            os.rename(aside, self.pack)
            shutil.rmtree(twin)

        return back

    def linked_folder(self) -> Callable[[], None]:
        """Put a link to a folder in the place of the package."""
        twin, aside = self.stage / "linked", self.stage / "aside"
        shutil.copytree(self.pack, twin)
        (twin / "core.py").write_bytes(self.evil)
        os.rename(self.pack, aside)
        self.pack.symlink_to(twin)

        def back() -> None:
            self.pack.unlink()
            os.rename(aside, self.pack)
            shutil.rmtree(twin)

        return back

    def compiled(self) -> Callable[[], None]:
        """Plant byte code of evil code, for this interpreter and without a source."""
        import importlib.util
        import marshal

        code = marshal.dumps(compile(self.evil, "core.py", "exec"))
        data = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + code
        cached = Path(importlib.util.cache_from_source(str(self.core)))
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(data)
        (self.pack / "core.pyc").write_bytes(data)

        def back() -> None:
            shutil.rmtree(cached.parent)
            (self.pack / "core.pyc").unlink()

        return back

    def run(self) -> None:
        """Swap forever; the pauses are shorter and longer than a check."""
        ways = [self.in_place, self.another_file, self.link]
        ways += [self.another_folder, self.linked_folder, self.compiled]
        for number in itertools.count():
            back = self.dice.choice(ways)()
            time.sleep(self.dice.choice([0, 0, 0.0005, 0.002]))
            back()
            if number == 0:
                print("swapping", flush=True)
            time.sleep(self.dice.choice([0, 0.001, 0.005, 0.02]))


if __name__ == "__main__":
    Swapper(Path(sys.argv[1]), random.Random(sys.argv[2])).run()
