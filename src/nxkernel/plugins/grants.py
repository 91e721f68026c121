"""Grants: what a plugin is allowed, out of what it requested and what the application gave."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import attrs

from nxkernel.errors import KernelConfigError, PermissionNotGranted
from nxkernel.plugins.lockcheck import mismatch
from nxkernel.plugins.lockentry import Lock
from nxkernel.plugins.lockfile import FILENAME
from nxkernel.plugins.manifest import Manifest
from nxkernel.plugins.rules import PROTECTED, check_path
from nxkernel.settings import Grant, Permissions
from nxkernel.types import PluginId

__all__ = ["DEFAULT_POLICY", "beyond_default", "effective_grant", "expand"]

#: What every plugin may do without asking anybody.
DEFAULT_POLICY = Permissions(read=("{plugin_dir}", "{run_dir}"), write=("{run_dir}",))
#: What nobody granted disables the plugin; a call that nobody granted is refused when it is made.
_DISABLING = ("read", "write", "network", "exec", "devices")
_KINDS = (*_DISABLING, "calls")
_TEMPLATE = re.compile(r"\{(\w+)\}")


def effective_grant(
    manifest: Manifest, grants: Mapping[str, Grant] | None = None, lock: Lock | None = None
) -> Grant:
    """Return what the plugin may do: never more than its manifest requests.

    A path is granted with every path below it. ``calls`` holds the part of ``requires`` that was
    granted here; policy rules may allow the rest. Templates are kept, see :func:`expand`.

    Raises:
        PermissionNotGranted: for a request beyond the default policy that nobody granted, and when
            code and lockfile disagree.
        LockMismatch: when there is a lock and it lacks the plugin.
    """
    given = _given(manifest, grants, lock)
    for kind in _DISABLING:
        allowed = (*getattr(DEFAULT_POLICY, kind), *getattr(given, kind))
        for asked in getattr(manifest.permissions, kind):
            if not _allows(kind, allowed, asked):
                raise _not_granted(manifest.id, kind, asked)
    return _requested(manifest, given)


def beyond_default(grant: Grant) -> str | None:
    """Return the first thing that *grant* allows beyond the default policy, in words, or None.

    Calls do not count: they are brokered, wherever the plugin runs.
    """
    for kind in sorted(attrs.asdict(grant).keys() - {"calls"}):
        value = getattr(grant, kind)
        if isinstance(value, tuple):
            for name in value:
                if not _allows(kind, getattr(DEFAULT_POLICY, kind), name):
                    return f"{kind} {name!r}"
        elif value:
            return kind
    return None


def _given(manifest: Manifest, grants: Mapping[str, Grant] | None, lock: Lock | None) -> Grant:
    in_code = None if grants is None else grants.get(manifest.id)
    if lock is None:
        return in_code or Grant()
    if manifest.id not in lock.plugins:
        raise mismatch(manifest.id, ["is not in the lockfile"])
    recorded = lock.plugins[manifest.id].grant
    if in_code is not None:
        _check_agreement(manifest, in_code, recorded)
    return recorded


def _check_agreement(manifest: Manifest, in_code: Grant, recorded: Grant) -> None:
    """Compare what either of the two would come to."""
    ours, theirs = _requested(manifest, in_code), _requested(manifest, recorded)
    for kind in _KINDS:
        differing = sorted(set(getattr(ours, kind)) ^ set(getattr(theirs, kind)))
        for name in differing:
            granting = "code" if name in getattr(ours, kind) else FILENAME
            other = FILENAME if granting == "code" else "code"
            raise PermissionNotGranted(
                f"{manifest.id}: {granting} grants {kind} {name!r} and {other} does not; "
                f"{_advice(manifest.id, kind, name, joint=' and ')}",
                plugin=manifest.id,
                details={"permission": kind, "value": name, "granted_by": granting},
            )


def _requested(manifest: Manifest, given: Permissions) -> Grant:
    """Return the part of the manifest's requests that default policy and *given* allow."""
    parts: dict[str, tuple[str, ...]] = {}
    for kind in _KINDS:
        allowed = (*getattr(DEFAULT_POLICY, kind), *getattr(given, kind))
        asked = getattr(manifest.permissions, kind)
        parts[kind] = tuple(name for name in asked if _allows(kind, allowed, name))
    return Grant(**parts)


def _allows(kind: str, allowed: Iterable[str], asked: str) -> bool:
    if kind not in ("read", "write"):
        return asked in allowed
    # "{media_dir}/x" is below "{media_dir}" by its parts, as "/a/x" is below "/a".
    place = PurePosixPath(asked)
    return any(place.is_relative_to(PurePosixPath(path)) for path in allowed)


def _not_granted(plugin: PluginId, kind: str, name: str) -> PermissionNotGranted:
    return PermissionNotGranted(
        f"{plugin}: asks for {kind} {name!r}, which nobody granted; "
        f"{_advice(plugin, kind, name, joint=', or ')}",
        plugin=plugin,
        details={"permission": kind, "value": name},
    )


def _advice(plugin: PluginId, kind: str, name: str, joint: str) -> str:
    code = f"grants={{{plugin!r}: nx.Grant({kind}=({name!r},))}}"
    return (
        f"grant it in code, {code}{joint}in {FILENAME}, {kind} = [{_quoted(name)}] below "
        f"[plugins.{_quoted(plugin)}.grant], by `nxkernel plugins lock DIR`"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def expand(grant: Grant, templates: Mapping[str, str | Path]) -> Grant:
    """Return *grant* with absolute paths in the place of templates.

    *templates* gives the path of each template by name: ``{"run_dir": "/data/runs/1"}``.

    Raises:
        KernelConfigError: for a template without a value, one that is not an absolute path, and a
            place to write that holds the plugin's verified code or the audit log.
    """
    read = tuple(_expanded(path, templates) for path in grant.read)
    write = tuple(_expanded(path, templates) for path in grant.write)
    for name in sorted(PROTECTED) if write else ():
        if name in templates:
            _check_apart(grant.write, write, name, _expanded(f"{{{name}}}", templates))
    programs = tuple(_expanded(path, templates) for path in grant.exec)
    return attrs.evolve(grant, read=read, write=write, exec=programs)


def _check_apart(asked: Iterable[str], write: Iterable[str], name: str, kept: str) -> None:
    protected = PurePosixPath(kept)
    for path, place in zip(asked, map(PurePosixPath, write), strict=True):
        if place.is_relative_to(protected) or protected.is_relative_to(place):
            raise KernelConfigError(
                f"grant of write {path!r}: {{{name}}} is there, which no plugin may change; "
                "grant a folder beside it"
            )


def _expanded(path: str, templates: Mapping[str, str | Path]) -> str:
    reason = check_path(path)
    if reason:
        raise KernelConfigError(f"grant of {path!r}: {reason}")
    match = _TEMPLATE.match(path)
    if match is None:
        return os.path.normpath(path)
    if match[1] not in templates:
        raise KernelConfigError(
            f"grant of {path!r}: {{{match[1]}}} has no value here; "
            f"give one, paths={{{match[1]!r}: ...}}, or do not grant it"
        )
    base = os.fspath(templates[match[1]])
    if not os.path.isabs(base):
        raise KernelConfigError(f"{{{match[1]}}} must be an absolute path, not {base!r}")
    return os.path.normpath(base + path[match.end() :])
