import os
import shutil
import sqlite3
import tempfile
import zipfile

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.run_dir = context.run_dir

    @hookimpl
    def act(self, value):
        first = self.run_dir / "first.txt"
        first.write_text(value)
        shutil.copy2(first, self.run_dir / "copy.txt")
        os.replace(self.run_dir / "copy.txt", self.run_dir / "moved.txt")
        with tempfile.TemporaryFile() as scratch:
            scratch.write(b"scratch")
        with zipfile.ZipFile(self.run_dir / "all.zip", "w") as archive:
            archive.write(first, "first.txt")
        with sqlite3.connect(self.run_dir / "own.db") as database:
            database.execute("CREATE TABLE t AS SELECT ? AS text", (value,))
        shutil.rmtree(tempfile.mkdtemp())
        return (self.run_dir / "moved.txt").read_text()

    @hookimpl
    def echo(self, value):
        return value
