"""Pruning: what nobody asks for goes, and nothing that anybody uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.plugins.environments.build import Builder
from nxkernel.plugins.environments.holding import Holds
from nxkernel.plugins.environments.interpreters import Interpreter, here
from nxkernel.plugins.environments.prune import Users, kept, prune
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import Environment, EnvironmentStore

OLD, NEW = Request(requirements=("sample==1.0",)), Request(requirements=("sample==2.0",))
NOBODY = Users()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EnvironmentStore]:
    """A store of empty environments: two requests with one folder each, made by hand."""
    store = EnvironmentStore(tmp_path / "store", here().abi)
    for number, request in enumerate((OLD, NEW)):
        keep(store, request, f"{number:032x}")
    yield store
    for folder in store.environments.iterdir():
        folder.chmod(0o700)


def keep(
    store: EnvironmentStore, request: Request, folder: str, interpreter: Interpreter | None = None
) -> Environment:
    """Record that *request* was resolved to *folder*."""
    prefix = store.environments / folder
    prefix.mkdir(parents=True, exist_ok=True, mode=0o700)
    store.root.chmod(0o700)
    (prefix / "file").touch()
    prefix.chmod(0o555)
    environment = Environment(
        request=request,
        interpreter=interpreter or here(),
        distributions=(),
        digest=f"sha256:{folder * 2}",  # type: ignore[arg-type]
        files={},
        prefix=prefix,
    )
    store.record(environment)
    return environment


def names(store: EnvironmentStore) -> list[str]:
    """Return the folders that are there."""
    return sorted(path.name[-1] for path in store.environments.iterdir())


def pruned(store: EnvironmentStore, users: Users) -> list[str]:
    """Prune what *users* do not use; return the folders of what a kernel uses."""
    going = [each for each in kept(store, users, here()) if not each.users]
    return [each.environment.prefix.name[-1] for each in prune(store, going)]


def test_what_manifests_ask_for_and_lockfiles_record_stays(store: EnvironmentStore) -> None:
    """By request, and by digest: of another machine's plugins only the lockfile may be here."""
    third = keep(store, Request(requirements=("other",)), f"{2:032x}")
    users = Users(requests={OLD: ["p.old"]}, digests={third.digest: ["p.locked"]})
    found = {each.environment.request: each.users for each in kept(store, users, here())}
    assert found == {OLD: ("p.old",), NEW: (), third.request: ("p.locked",)}
    assert pruned(store, users) == []
    assert names(store) == ["0", "2"]
    assert store.find(NEW) is None
    assert store.find(OLD) is not None


def test_what_two_requests_share_goes_with_the_second(store: EnvironmentStore) -> None:
    """Requests that resolve to the same files have one folder."""
    other = Request(requirements=("sample<2",))
    keep(store, other, f"{0:032x}")
    pruned(store, Users(requests={other: ["p"], NEW: ["p"]}))
    assert names(store) == ["0", "1"]
    assert (store.find(OLD), store.find(other) is None) == (None, False)
    pruned(store, NOBODY)
    assert names(store) == []


def test_what_a_kernel_holds_stays(store: EnvironmentStore) -> None:
    """With its record: the kernel's next worker is started from it. Afterwards it may go."""
    holds = Holds()
    assert holds.take(store.environments / f"{0:032x}")
    assert holds.take(store.environments / f"{0:032x}")
    assert pruned(store, NOBODY) == ["0"]
    assert names(store) == ["0"]
    assert store.find(OLD) is not None
    holds.close()
    assert pruned(store, NOBODY) == []
    assert names(store) == []


def test_what_is_gone_cannot_be_held(store: EnvironmentStore, tmp_path: Path) -> None:
    """Neither what was never there, nor what was moved away after it was opened."""
    holds = Holds()
    assert not holds.take(tmp_path / "none")
    folder = store.environments / f"{0:032x}"
    with pytest.MonkeyPatch.context() as patch:
        opening = os.open

        def moved(path: Path, flags: int) -> int:
            handle = opening(path, flags)
            os.rename(folder, folder.with_name("aside"))
            return handle

        patch.setattr(os, "open", moved)
        assert not holds.take(folder)
    holds.close()


def test_a_forked_child_lets_go_of_nothing_of_its_parents(store: EnvironmentStore) -> None:
    """Its descriptors are copies: closing them leaves the parent's lock where it is."""
    holds = Holds()
    holds.take(store.environments / f"{0:032x}")
    child = os.fork()
    if child == 0:
        os._exit(len(holds._handles))  # told to abandon before it gets here
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pruned(store, NOBODY) == ["0"]
    holds.close()


def test_the_runtime_of_another_interpreter_is_for_its_plugins(store: EnvironmentStore) -> None:
    """What its workers share with the host is asked for by no manifest, and needed."""
    from nxkernel.plugins.environments.install import runtime_request

    own = here()
    foreign = Interpreter(
        executable="/opt/python",
        version="3.99.0",
        abi="cpython-399",
        libraries=(),
    )
    keep(store, Request(python="3.99"), f"{3:032x}", foreign)
    runtime = runtime_request(foreign, own)
    assert runtime is not None
    keep(store, runtime, f"{4:032x}", foreign)
    users = Users(requests={Request(python="3.99"): ["p.foreign"]})
    found = {each.environment.prefix.name[-1]: each for each in kept(store, users, own)}
    assert (found["4"].users, found["4"].runtime) == (("p.foreign",), True)
    pruned(store, users)
    assert names(store) == ["3", "4"]


def test_what_no_record_names_goes_too(store: EnvironmentStore) -> None:
    """A record that was replaced leaves the folder of before behind."""
    keep(store, OLD, f"{5:032x}")
    (store.root / "records" / "broken.json").write_text("{")
    pruned(store, Users(requests={OLD: ["p"], NEW: ["p"]}))
    assert names(store) == ["1", "5"]


def test_nothing_is_built_meanwhile(store: EnvironmentStore) -> None:
    """Who builds and who prunes take turns, by the store's own lock."""
    assert Builder(store=store, tool=lambda: None).store is store  # type: ignore[arg-type,return-value]
    pruned(store, NOBODY)
    assert (store.root / ".lock").exists()
