"""Ordinary libraries work as they are, at the levels `confined` and `isolated`."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from nxkernel.host.sandbox.linux import probe
from tests.escapes.arena import Arena, Verdict
from tests.escapes.attempts import Attempt, Expectation
from tests.escapes.victim import empty


@attrs.frozen
class Bench:
    """A kernel with a plugin that runs what it is handed, in a worker of its own each time."""

    arena: Arena

    def run(self, code: str, plan: str = "standard") -> Verdict:
        """Run *code* in a plugin; `H['w']` is its folder, empty but for `home` and `tmp`."""
        ordinary = Attempt("control", "library", textwrap.dedent(code), Expectation(), plan=plan)
        try:
            return self.arena.run(ordinary)
        finally:
            for folder in self.arena.folders:
                empty(folder)


@pytest.fixture(scope="module", params=["confined", "isolated"])
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    tried = [probe.landlock_abi, probe.seccomp_available]
    if request.param == "isolated":
        tried.append(probe.namespaces_available)
    for found in (attempt() for attempt in tried):
        if not found.ok:
            pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    folder: Path = tmp_path_factory.mktemp(request.param)
    facts = {"tcp_ok": 1, "bind_ok": 2, "interpreter": {}}
    arena = Arena(folder / "arena", request.param, facts)
    yield Bench(arena)
    arena.close()


def needs(*modules: str) -> None:
    """Skip, naming the extra, where an optional library is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'nxkernel[demo]'")


def assert_gives(verdict: Verdict, value: object) -> None:
    assert verdict.value == repr(value), verdict


class TestStandardLibrary:
    """What every Python has."""

    def test_sqlite(self, bench: Bench) -> None:
        """A database in the own folder, with a journal and with a write-ahead log."""
        code = """
            import os, sqlite3
            out = []
            for mode in ('delete', 'wal'):
                db = sqlite3.connect(os.path.join(H['w'], mode))
                db.execute('pragma journal_mode=' + mode)
                db.execute('create virtual table t using fts5(x)')
                with db:
                    db.execute("insert into t values ('the quick brown fox')")
                out += db.execute("select count(*) from t where t match 'fox'").fetchall()
        """
        assert_gives(bench.run(code), [(1,), (1,)])

    def test_tls_context(self, bench: Bench) -> None:
        """OpenSSL initialises without its usual files."""
        code = """
            import ssl
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            out = context.verify_mode == ssl.CERT_REQUIRED and len(ssl.RAND_bytes(8))
        """
        assert_gives(bench.run(code), 8)

    def test_time_zones(self, bench: Bench) -> None:
        """Zone files of the system are readable."""
        code = """
            from datetime import UTC, datetime
            from zoneinfo import ZoneInfo
            moment = datetime(2026, 7, 1, tzinfo=UTC)
            out = moment.astimezone(ZoneInfo('Europe/Vienna')).utcoffset().total_seconds()
        """
        assert_gives(bench.run(code), 7200.0)

    def test_temporary_files(self, bench: Bench) -> None:
        """Files, folders and spooled files go to TMPDIR, and go away."""
        code = """
            import os, tempfile
            with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as unnamed:
                unnamed.write(b'x')
                with tempfile.NamedTemporaryFile(dir=folder) as named:
                    inside = named.name.startswith(H['scratch'])
            out = inside, os.listdir(H['scratch'])
        """
        assert_gives(bench.run(code), (True, []))

    def test_threads_and_event_loop(self, bench: Bench) -> None:
        """Threads, queues and an event loop with an executor."""
        code = """
            import asyncio
            async def main():
                return sum(await asyncio.gather(*(asyncio.to_thread(pow, n, 2) for n in range(9))))
            out = asyncio.run(main())
        """
        assert_gives(bench.run(code), 204)

    def test_processes_are_refused_clearly(self, bench: Bench) -> None:
        """What the level takes away is a PermissionError, not a crash."""
        verdict = bench.run("import subprocess\nsubprocess.run(['/bin/true'])")
        assert "PermissionError" in verdict.exceptions


class TestFileShims:
    """chmod and utime below a write root: recorded no-ops."""

    SHIMS = """
import os, pathlib, shutil, stat, tarfile, zipfile
from nxkernel.worker.guards import install_file_shims
shims = install_file_shims([H['w']])
one, two = H['w'] + '/one', H['w'] + '/two'
pathlib.Path(one).write_text('x')
"""

    @pytest.mark.parametrize("function", ["copy", "copy2", "copyfile", "move"])
    def test_copying_in_the_own_folder(self, bench: Bench, function: str) -> None:
        """The copying functions of `shutil` work."""
        code = f"shutil.{function}(one, two)\nout = open(two).read()"
        assert_gives(bench.run(self.SHIMS + code), "x")

    def test_copytree(self, bench: Bench) -> None:
        """A whole tree, and out of the readable library into the own folder."""
        code = """
source = os.path.dirname(os.__file__) + '/json'
shutil.copytree(source, two)
out = sorted(os.listdir(two)) == sorted(os.listdir(source)), shims.count > 0
"""
        assert_gives(bench.run(self.SHIMS + code), (True, True))

    def test_archives(self, bench: Bench) -> None:
        """Archives are written and unpacked, modes and times and all."""
        code = """
with tarfile.open(two, 'w') as archive:
    archive.add(one, 'inside')
with tarfile.open(two) as archive:
    archive.extractall(H['w'] + '/out')
out = os.listdir(H['w'] + '/out')
"""
        assert_gives(bench.run(self.SHIMS + code), ["inside"])

    def test_touch(self, bench: Bench) -> None:
        """`Path.touch` on a file that exists, by path and by descriptor."""
        code = """
pathlib.Path(one).touch()
with open(one, 'a') as file:
    os.fchmod(file.fileno(), 0o600)
    os.utime(file.fileno())
out = [name for name, _ in shims.skipped]
"""
        assert_gives(bench.run(self.SHIMS + code), ["utime", "fchmod", "utime"])

    def test_elsewhere_the_kernel_answers(self, bench: Bench) -> None:
        """Outside of the own folder the shims change nothing."""
        for call in ("os.chmod(os.__file__, 0o777)", "os.utime(os.__file__)"):
            verdict = bench.run(self.SHIMS + call)
            assert verdict.errno == "EPERM", verdict
        assert bench.run(self.SHIMS + "os.chmod(H['w'] + '/no', 0)").errno == "ENOENT"


class TestNativeLibraries:
    """Wheels with compiled code and threads of their own."""

    def test_numpy(self, bench: Bench) -> None:
        """Linear algebra, with the threads of its library."""
        needs("numpy")
        code = """
            import numpy
            rng = numpy.random.default_rng(1)
            a = rng.normal(size=(300, 300))
            out = bool(numpy.allclose(numpy.linalg.inv(a) @ a, numpy.eye(300), atol=1e-6))
        """
        assert_gives(bench.run(code), True)

    def test_pillow(self, bench: Bench) -> None:
        """An image is drawn, saved, and read back."""
        needs("PIL")
        code = """
            from PIL import Image, ImageDraw, ImageFont
            image = Image.new('RGB', (200, 60), 'white')
            ImageDraw.Draw(image).text((5, 5), 'hello', fill='black', font=ImageFont.load_default())
            image.save(H['w'] + '/i.png')
            out = Image.open(H['w'] + '/i.png').size
        """
        assert_gives(bench.run(code), (200, 60))

    def test_onnxruntime(self, bench: Bench) -> None:
        """A model runs, on the runtime's own threads."""
        needs("rapidocr", "onnxruntime", "numpy")
        code = """
            import os
            import numpy, onnxruntime, rapidocr
            models = os.path.join(os.path.dirname(rapidocr.__file__), 'models')
            model = next(name for name in sorted(os.listdir(models)) if '_det_' in name)
            session = onnxruntime.InferenceSession(os.path.join(models, model))
            image = numpy.zeros((1, 3, 64, 64), numpy.float32)
            (result,) = session.run(None, {session.get_inputs()[0].name: image})
            out = result.shape
        """
        assert_gives(bench.run(code), (1, 1, 64, 64))

    def test_reading_text_from_an_image(self, bench: Bench) -> None:
        """The OCR of the demo, on a screenshot; its allocator reserves more than the default."""
        needs("rapidocr", "onnxruntime", "PIL", "numpy")
        code = """
            import numpy
            from PIL import Image, ImageDraw, ImageFont
            from rapidocr import RapidOCR
            image = Image.new('RGB', (1000, 736), 'white')
            font = ImageFont.load_default(36)
            ImageDraw.Draw(image).text((60, 200), 'Invoice 4711', fill='black', font=font)
            result = RapidOCR()(numpy.asarray(image))
            out = [text.replace(' ', '') for text in result.txts]
        """
        assert_gives(bench.run(code, "large"), ["Invoice4711"])
