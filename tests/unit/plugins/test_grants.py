"""A plugin gets what it asked for and somebody gave, and never more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import KernelConfigError, LockMismatch, PermissionNotGranted
from nxkernel.plugins.grants import effective_grant, expand
from nxkernel.plugins.lockfile import Lock, LockEntry
from nxkernel.plugins.manifest import Manifest
from nxkernel.settings import Grant
from nxkernel.types import Digest, PluginId
from tests.unit.plugins.folders import manifest

ID = PluginId("ocr.rapid")
ZERO = Digest("sha256:" + "0" * 64)


def asking(tmp_path: Path, requires: list[str] | None = None, **permissions: Any) -> Manifest:
    """Return the manifest of a plugin that asks for *permissions*."""
    name = f"p{len(list(tmp_path.iterdir()))}"
    return manifest(tmp_path, name, permissions=permissions, requires=requires or [])


def locked(grant: Grant) -> Lock:
    entry = LockEntry(version="1", manifest=ZERO, tree=ZERO, files={}, grant=grant)
    return Lock(plugins={ID: entry})


def test_the_default_policy_needs_no_grant(tmp_path: Path) -> None:
    """Its own folder and its run directory, with what is below them."""
    asked = asking(tmp_path, read=["{plugin_dir}", "{run_dir}/in"], write=["{run_dir}/out"])
    grant = effective_grant(asked)
    assert grant == Grant(read=("{plugin_dir}", "{run_dir}/in"), write=("{run_dir}/out",))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("read", "{media_dir}"),
        ("read", "/plugin_dir"),
        ("read", "/etc"),
        ("write", "{cache_dir}"),
        ("write", "/"),
        ("network", "tcp:443"),
    ],
)
def test_what_nobody_granted_is_named_with_both_ways_to_grant_it(
    tmp_path: Path, kind: str, name: str
) -> None:
    """The line for the application and the line of the lockfile stand in the message."""
    with pytest.raises(PermissionNotGranted) as caught:
        effective_grant(asking(tmp_path, **{kind: [name]}))
    error = caught.value
    assert (error.code, error.plugin) == ("permission.not_granted", ID)
    assert f"asks for {kind} '{name}'" in error.message
    assert f"grants={{'ocr.rapid': nx.Grant({kind}=('{name}',))}}" in error.message
    assert f'{kind} = ["{name}"] below [plugins."ocr.rapid".grant]' in error.message
    assert error.details == {"permission": kind, "value": name}


@pytest.mark.parametrize("place", ["code", "lock"])
def test_a_grant_counts_from_code_or_from_the_lock(tmp_path: Path, place: str) -> None:
    """Either is enough, and the result is the request, not the wider grant."""
    asked = asking(tmp_path, ["store.records"], read=["/data/in/a"], network=["tcp:443"])
    given = Grant(
        read=("/data", "/other"),
        write=("/data",),
        network=("tcp:443", "tcp:80"),
        calls=("store.records", "other"),
    )
    code, lock = ({ID: given}, None) if place == "code" else (None, locked(given))
    assert effective_grant(asked, code, lock) == Grant(
        read=("/data/in/a",), network=("tcp:443",), calls=("store.records",)
    )


@pytest.mark.parametrize(
    ("granted", "asked"),
    [("/data", "/database"), ("/data/in", "/data"), ("{media_dir}", "/media_dir"), ("tcp:1", "/x")],
)
def test_a_path_that_only_looks_alike_is_not_granted(
    tmp_path: Path, granted: str, asked: str
) -> None:
    """Paths are compared by their parts."""
    with pytest.raises(PermissionNotGranted):
        effective_grant(asking(tmp_path, read=[asked]), {ID: Grant(read=(granted,))})


def test_a_grant_of_one_kind_is_none_of_another(tmp_path: Path) -> None:
    """To read is not to write, nor the other way round."""
    with pytest.raises(PermissionNotGranted, match="asks for write"):
        effective_grant(asking(tmp_path, write=["/a"]), {ID: Grant(read=("/a",))})
    with pytest.raises(PermissionNotGranted, match="asks for read"):
        effective_grant(asking(tmp_path, read=["/a"]), {ID: Grant(write=("/a",))})


def test_a_grant_for_another_plugin_is_not_taken(tmp_path: Path) -> None:
    """Grants go by id."""
    with pytest.raises(PermissionNotGranted):
        effective_grant(asking(tmp_path, read=["/a"]), {"ocr.other": Grant(read=("/a",))})


def test_calls_that_nobody_granted_do_not_disable(tmp_path: Path) -> None:
    """They are refused when they are made, unless a rule of the policy allows them."""
    asked = asking(tmp_path, ["store.records", "answer"])
    assert effective_grant(asked, {ID: Grant(calls=("answer",))}).calls == ("answer",)
    assert effective_grant(asked).calls == ()


@pytest.mark.parametrize(
    ("asked", "kind", "value"),
    [
        ({"exec": ["/usr/bin/true"]}, "exec", "/usr/bin/true"),
        ({"gpu": True}, "devices", "gpu"),
        ({"raw_input": True}, "devices", "raw_input"),
        ({"network": ["listen:8080"]}, "network", "listen:8080"),
    ],
)
def test_every_permission_needs_manifest_and_application(
    tmp_path: Path, asked: dict[str, Any], kind: str, value: str
) -> None:
    """In code or in the lockfile; another value of the same kind is no grant."""
    manifest = asking(tmp_path, **asked)
    grant = Grant(**{kind: (value,)})
    assert effective_grant(manifest, {ID: grant}) == grant
    assert effective_grant(manifest, None, locked(grant)) == grant
    for other in (Grant(), Grant(read=("/",)), Grant(**{kind: ("/usr/bin",)})):
        with pytest.raises(PermissionNotGranted, match=f"nx.Grant\\({kind}="):
            effective_grant(manifest, {ID: other})


def test_code_and_lock_must_agree(tmp_path: Path) -> None:
    """What one of them grants and the other does not is named, whichever it is."""
    asked = asking(tmp_path, read=["/a"], network=["tcp:443"])
    both, less = Grant(read=("/a",), network=("tcp:443",)), Grant(read=("/a",))
    assert effective_grant(asked, {ID: both}, locked(both)) == both
    with pytest.raises(PermissionNotGranted, match=r"code grants network 'tcp:443' and nxkernel"):
        effective_grant(asked, {ID: both}, locked(less))
    with pytest.raises(PermissionNotGranted, match=r"lock grants network 'tcp:443' and code does"):
        effective_grant(asked, {ID: less}, locked(both))


def test_they_agree_when_the_result_is_the_same(tmp_path: Path) -> None:
    """A wider path and its part come to the same for this plugin; silence is no disagreement."""
    asked = asking(tmp_path, read=["/a/b"])
    narrow, wide = Grant(read=("/a/b",)), Grant(read=("/a",))
    assert effective_grant(asked, {ID: wide}, locked(narrow)) == narrow
    assert effective_grant(asked, {"ocr.other": wide}, locked(narrow)) == narrow


def test_a_lock_without_the_plugin_refuses_it(tmp_path: Path) -> None:
    """Also when the code would grant it."""
    with pytest.raises(LockMismatch, match="is not in the lockfile"):
        effective_grant(asking(tmp_path), {ID: Grant()}, Lock())


PATHS = {"run_dir": "/data/runs/1", "media_dir": Path("/data/media"), "plugin_dir": "/code/x"}


def test_templates_become_absolute_paths() -> None:
    """Below the template's path, normalised; ports and calls stay."""
    grant = Grant(
        read=("{media_dir}/a//b", "/etc/./x"),
        write=("{run_dir}",),
        network=("tcp:1",),
        calls=("c",),
    )
    assert expand(grant, PATHS) == Grant(
        read=("/data/media/a/b", "/etc/x"),
        write=("/data/runs/1",),
        network=("tcp:1",),
        calls=("c",),
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("{cache_dir}", "has no value here"),
        ("{home}", "unknown template"),
        ("{run_dir}/../x", "has .."),
        ("relative", "is relative"),
        ("/a/{run_dir}", "has a brace"),
    ],
)
def test_what_cannot_be_expanded_is_the_embedders_mistake(path: str, reason: str) -> None:
    """Nothing is left standing as a literal path."""
    with pytest.raises(KernelConfigError, match=reason):
        expand(Grant(read=(path,)), PATHS)


def test_a_template_needs_an_absolute_value() -> None:
    """A relative one would depend on where the worker stands."""
    with pytest.raises(KernelConfigError, match="absolute path"):
        expand(Grant(read=("{run_dir}",)), {"run_dir": "runs"})


@pytest.mark.parametrize("path", ["/", "/code", "/code/x", "/code/x/y", "{plugin_dir}/y"])
def test_no_grant_lets_a_plugin_write_its_verified_code(path: str) -> None:
    """Neither by its own name, nor from above, nor below."""
    with pytest.raises(KernelConfigError, match="which no plugin may change"):
        expand(Grant(write=(path,)), PATHS)


def test_no_grant_lets_a_plugin_write_the_audit_log() -> None:
    """A folder beside it can be granted, the one that holds it cannot."""
    paths = {"audit_db_path": "/data/audit/audit.db"}
    assert expand(Grant(write=("/data/audit2",)), paths).write == ("/data/audit2",)
    assert expand(Grant(read=("/data",)), paths).read == ("/data",)
    with pytest.raises(KernelConfigError, match=r"\{audit_db_path\} is there"):
        expand(Grant(write=("/data",)), paths)
