"""What a plugin can find in its own process: nothing of the host's, nothing of other plugins'."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.conftest import Opens
from tests.support.zoo import Zoo, patient

ANIMALS = ("inspects",)
_WRITABLE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw", re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def host_with_secrets() -> Iterator[str]:
    """Give the host a secret in its environment, in its arguments and in an open file."""
    token = secrets.token_hex(16)
    read, write = os.pipe()
    os.set_inheritable(read, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOST_TOKEN", token)
        patch.setattr(sys, "argv", [*sys.argv, token])
        yield token
    os.close(read)
    os.close(write)


def memory_holds(pid: int, token: bytes) -> bool:
    """Search all writable memory of a process."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for match in _WRITABLE.finditer(maps):
            start, end = (int(bound, 16) for bound in match.groups())
            memory.seek(start)
            try:
                if token in memory.read(end - start):
                    return True
            except OSError:
                continue  # mapped, but without pages: guard areas, vvar
    return False


def test_environment_is_the_workers_own(zoo: Zoo, host_with_secrets: str) -> None:
    """No variable of the host's is there, by name or by value."""
    environment = zoo.act("inspects").value["environment"]
    assert host_with_secrets not in environment.values()
    assert "HOST_TOKEN" not in environment
    assert environment.keys() <= {
        *("HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"),
        *("PYTHONHASHSEED", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"),
        *("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    }


def test_arguments_are_clean(zoo: Zoo, host_with_secrets: str) -> None:
    """Neither sys.argv nor sys.orig_argv tells anything about the host's program or its data."""
    text = " ".join(zoo.act("inspects").value["arguments"])
    assert host_with_secrets not in text
    assert str(zoo.kernel.run.data_dir) not in text


def test_descriptors_are_seven(zoo: Zoo) -> None:
    """Standard streams, the wire's two pipes, its own arena's two files; nothing of the host's."""
    assert zoo.act("inspects").value["descriptors"] == [
        "0 device",
        "1 pipe",
        "2 pipe",
        "3 pipe",
        "4 pipe",
        "5 file",
        "6 file",
    ]


def test_worker_has_loaded_nothing_of_the_host(zoo: Zoo) -> None:
    """The modules of the host's side are not in the process."""
    modules = zoo.act("inspects").value["modules"]
    ours = [name for name in modules if name.startswith("nxkernel.")]
    assert "nxkernel.worker.runner" in ours
    for part in ("host", "kernel", "audit", "middleware", "storage", "plugins", "run"):
        assert not [name for name in ours if name.split(".")[1] == part]
    assert "sqlite3" not in modules


def test_settings_never_pass_through_the_zygote(open_zoo: Opens) -> None:
    """What is in the zygote's memory, every later worker can read; a setting is not.

    The same search finds the setting in this process, and what the zygote does know in the zygote.
    """
    token = secrets.token_hex(32)
    zoo = open_zoo(patient, "keeps", "inspects", settings={"keeps": {"token": token}})
    assert zoo.act("keeps", token).value is True
    zygote = psutil.Process(zoo.act("inspects").value["pid"]).ppid()
    assert memory_holds(os.getpid(), token.encode())
    assert memory_holds(zygote, b"nxkernel.worker.zygote")
    assert not memory_holds(zygote, token.encode())


def test_folder_is_the_workers_own(zoo: Zoo) -> None:
    """The working directory is the plugin's run_dir."""
    assert zoo.act("inspects").value["folder"].endswith(f"{zoo.kernel.run.id}/plugins/inspects")
