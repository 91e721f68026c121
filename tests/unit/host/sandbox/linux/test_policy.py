"""Plans: what may never be granted, what every worker gets, and what it has to apply."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from nxkernel import errors
from nxkernel.host.sandbox.linux import policy
from nxkernel.host.sandbox.linux.policy import (
    ConfinementPlan,
    build,
    default_read_paths,
    rlimits,
    validate,
)
from nxkernel.settings import Limits


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path.resolve())


def refusal(**plan: object) -> str:
    """Return why *plan* is refused."""
    with pytest.raises(errors.KernelConfigError) as caught:
        validate(ConfinementPlan(**plan))
    return caught.value.message


@pytest.mark.parametrize("field", ["code", "read", "write"])
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/proc", "/proc/self/environ", "/sys", "/sys/kernel", "/dev", "/dev/sda"),
        *("relative", "", "/a/../b", "/a/", "/a//b", "/a/.", "/nul\0byte", "//etc", "//proc"),
    ],
)
def test_paths_that_are_never_granted(field: str, path: str) -> None:
    """Everything, other processes, hardware, and whatever is not plainly one path."""
    assert f"cannot grant {field} {path}" in refusal(**{field: (path,)})


def test_names_that_only_begin_alike() -> None:
    """/processes is not /proc."""
    validate(ConfinementPlan(read=("/processes/x", "/devices", "/system")))


def test_devices_may_be_read_and_not_granted_for_writing() -> None:
    """null, zero and urandom are code's companions; a write grant on them is a mistake."""
    validate(ConfinementPlan(code=policy.DEVICES))
    assert "never granted" in refusal(write=("/dev/null",))


@pytest.mark.parametrize("write", ["/app/plugin", "/app/plugin/cache", "/app"])
def test_code_is_not_writable(write: str) -> None:
    """Neither a folder of code, nor what is in it, nor what it is in."""
    assert "code that workers import" in refusal(code=("/app/plugin",), write=(write,))


def test_interpreter_is_not_writable() -> None:
    """Also where the plan does not list the library as its code."""
    library = os.path.dirname(os.path.realpath(os.__file__))
    assert "code that workers import" in refusal(write=(library,))


def test_own_files_of_the_host_are_not_writable() -> None:
    """The audit log must not lie in a plugin's folder."""
    message = refusal(write=("/data",), protected=("/data/audit",))
    assert "the host's own files" in message
    validate(ConfinementPlan(write=("/data/run",), protected=("/data/audit",)))


def test_data_may_be_readable_around_a_writable_folder() -> None:
    """The run's folder is readable, the plugin's own folder in it writable."""
    validate(ConfinementPlan(read=("/data/run",), write=("/data/run/plugin",)))


@pytest.mark.parametrize("port", [0, -1, 65536])
@pytest.mark.parametrize("field", ["connect_tcp", "bind_tcp"])
def test_ports_are_ports(field: str, port: int) -> None:
    """0 would be any free port."""
    assert "1 to 65535" in refusal(**{field: (port,)})


def test_default_paths_are_what_python_needs() -> None:
    """Library, loader and devices: resolved, existing, none below another, in a fixed order."""
    paths = default_read_paths()
    assert paths == default_read_paths()
    assert list(paths) == sorted(paths)
    for path in paths:
        assert os.path.realpath(path) == path
        assert os.path.exists(path)
        assert not any(other != path and path.startswith(other + "/") for other in paths)
    library = os.path.dirname(os.path.realpath(os.__file__))
    assert any(library == path or library.startswith(path + "/") for path in paths)
    assert {"/dev/null", "/dev/urandom", "/dev/zero"} <= set(paths)


def test_default_paths_open_no_home_and_no_configuration() -> None:
    """Neither /etc as a whole, nor /home, /root, /tmp or /var, nor the parent of anything."""
    paths = set(default_read_paths())
    closed = {"/", "/etc", "/home", "/root", "/tmp", "/var", "/usr", "/opt", sys.base_prefix}
    assert not paths & closed


def test_site_directories_are_added(folder: str) -> None:
    """A venv's libraries are readable; a folder that does not exist is no mistake here."""
    os.mkdir(f"{folder}/site")
    paths = default_read_paths([f"{folder}/site", f"{folder}/absent"])
    assert f"{folder}/site" in paths
    assert f"{folder}/absent" not in paths


def test_default_plan_can_be_built() -> None:
    """The default paths are valid code."""
    build(ConfinementPlan(code=default_read_paths())).close()


def test_limits_are_in_the_units_of_the_kernel() -> None:
    """Bytes and counts; soft and hard alike, so that a plugin cannot raise them."""
    limits = rlimits(Limits(memory_mb=512, open_files=99, file_size_mb=3))
    assert limits["DATA"] == (512 << 20, 512 << 20)
    assert limits["FSIZE"] == (3 << 20, 3 << 20)
    assert limits["NOFILE"] == (99, 99)
    assert limits["CORE"] == limits["MSGQUEUE"] == (0, 0)
    assert limits["AS"] == (8 << 30, 8 << 30)
    assert "CPU" not in limits  # it adds up; the host moves it per call
    assert "NPROC" not in limits  # it counts the whole user


def test_message_crosses_the_wire() -> None:
    """All but the descriptor fits into MessagePack and comes back as it was."""
    confinement = build(ConfinementPlan())
    try:
        message = confinement.message()
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(message)) == {
            "program": confinement.program,
            "limits": {name: list(pair) for name, pair in confinement.limits.items()},
        }
    finally:
        confinement.close()


def test_grants_of_ports_choose_the_filter() -> None:
    """A worker without ports has no socket call at all."""
    plans = (
        ConfinementPlan(),
        ConfinementPlan(connect_tcp=(443,)),
        ConfinementPlan(bind_tcp=(8080,)),
    )
    walls = [build(plan) for plan in plans]
    for each in walls:
        each.close()
    assert len({each.program for each in walls}) == 3


def test_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built."""
    monkeypatch.setattr(policy, "unsupported_machine", lambda: "no table of system calls")
    with pytest.raises(errors.SandboxUnavailable, match="no table") as caught:
        build(ConfinementPlan())
    assert caught.value.code == "sandbox.unavailable"


class TestOwnRoot:
    """A plan for a root of its own says what is in it."""

    def test_only_when_it_is_asked_for(self, folder: str) -> None:
        """A confined worker stays in the host's root."""
        built = build(ConfinementPlan(read=(folder,)))
        built.close()
        assert built.root is None

    def test_it_holds_what_the_ruleset_grants(self, folder: str) -> None:
        """Code and data to read, data to write, and the room of the scratch."""
        own, code = f"{folder}/own", f"{folder}/code"
        os.mkdir(own)
        os.mkdir(code)
        plan = ConfinementPlan(
            code=(code,),
            write=(own,),
            scratch=(f"{own}/tmp",),
            own_root=True,
            limits=Limits(scratch_mb=5),
        )
        built = build(plan)
        built.close()
        assert built.root is not None
        assert (built.root.read, built.root.write) == ((code,), (own,))
        assert (built.root.scratch, built.root.scratch_mb) == ((f"{own}/tmp",), 5)

    def test_other_names_of_granted_paths_lead_there(self, folder: str) -> None:
        """An interpreter that asks for its library through a link finds it."""
        os.mkdir(f"{folder}/python-3.1")
        os.symlink("python-3.1", f"{folder}/python")
        plan = ConfinementPlan(
            code=(f"{folder}/python-3.1",), names=(f"{folder}/python",), own_root=True
        )
        built = build(plan)
        built.close()
        assert built.root is not None
        assert (f"{folder}/python", "python-3.1") in built.root.links
