"""Which plugins fit this kernel, this application and each other, and in what order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import attrs
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from nxkernel.errors import KernelConfigError, PluginDisabled
from nxkernel.plugins.manifest import Manifest
from nxkernel.types import PluginId

__all__ = ["Resolution", "Versions", "resolve"]


@attrs.frozen(kw_only=True)
class Versions:
    """What a manifest's ``compat`` is held to."""

    #: Of nxkernel.
    kernel: str
    #: Of the interpreter that runs plugins: ``3.11.7``.
    python: str
    #: Of the application's own plugin API, or None if it has no version.
    api: str | None = None
    #: Of the interpreters of plugins that have another one.
    foreign: Mapping[PluginId, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Resolution:
    """Which plugins may run, dependencies first, and why the others may not."""

    order: tuple[Manifest, ...]
    disabled: Mapping[PluginId, PluginDisabled]


def resolve(manifests: Iterable[Manifest], versions: Versions) -> Resolution:
    """Decide which of *manifests* run together.

    Disabled are, in this order: what does not fit *versions*; what another plugin replaces; what
    says that it conflicts with a plugin that is there (the one that says so, not the other); what
    stands in a circle of dependencies; what depends on a plugin that is not there. A plugin that
    replaces another stands in for it as a dependency.

    The order is that of dependencies, and among independent plugins that of (priority, id).

    Raises:
        KernelConfigError: for a version in *versions* that PEP 440 does not know.
    """
    found = {manifest.id: manifest for manifest in manifests}
    disabled: dict[PluginId, PluginDisabled] = {}
    rules: tuple[Callable[[Found], Refusals], ...]
    rules = (partial(_unfit, versions), _replaced, _conflicting, _circular)
    for rule in rules:
        here = {key: value for key, value in sorted(found.items()) if key not in disabled}
        disabled |= dict(rule(here))
    _disable_dependents(found, disabled)
    here = {key: value for key, value in sorted(found.items()) if key not in disabled}
    return Resolution(order=tuple(_ordered(here)), disabled=disabled)


Found = Mapping[PluginId, Manifest]
Refusals = Iterator[tuple[PluginId, PluginDisabled]]


def _refusal(plugin: PluginId, reason: str) -> tuple[PluginId, PluginDisabled]:
    return plugin, PluginDisabled(f"{plugin}: {reason}", plugin=plugin)


def _unfit(versions: Versions, here: Found) -> Refusals:
    for plugin, manifest in here.items():
        named = _named(versions, plugin)
        compat = manifest.compat
        asked = zip((compat.kernel, compat.python, compat.api), named.items(), strict=True)
        for specifier, (what, version) in asked:
            if specifier and version is None:
                yield _refusal(plugin, f"needs {what} {specifier}, which has no version here")
            elif version and not SpecifierSet(specifier).contains(version, prereleases=True):
                yield _refusal(plugin, f"needs {what} {specifier}, and this is {version}")


def _named(versions: Versions, plugin: PluginId) -> dict[str, str | None]:
    return {
        "nxkernel": _version("kernel", versions.kernel),
        "Python": _version("python", versions.foreign.get(plugin, versions.python)),
        "the application's plugin API": _version("api", versions.api),
    }


def _version(name: str, text: str | None) -> str | None:
    """Return the release: a development version of 0.2 counts as 0.2, whose API it has."""
    if text is None:
        return None
    try:
        return Version(text).base_version
    except InvalidVersion:
        raise KernelConfigError(f"{name}={text!r} is no version as PEP 440 has it") from None


def _replaced(here: Found) -> Refusals:
    for plugin, manifest in here.items():
        for old in manifest.replaces:
            # Two that replace each other would leave neither: the first by id stays.
            mutual = old in here and plugin in here[old].replaces and old < plugin
            if old in here and not mutual:
                yield _refusal(old, f"is replaced by {plugin}; remove one of them")


def _conflicting(here: Found) -> Refusals:
    for plugin, manifest in here.items():
        for other in sorted(set(manifest.conflicts_with) & here.keys()):
            yield _refusal(plugin, f"conflicts with {other}, which is there; remove one of them")


def _circular(here: Found) -> Refusals:
    for plugin in here:
        circle = _circle(here, plugin)
        if circle:
            way = " depends on ".join(circle)
            yield _refusal(plugin, f"stands in a circle: {way}; break it in a manifest")


def _circle(here: Found, start: PluginId) -> list[PluginId]:
    """Return the shortest way from *start* back to itself, or nothing."""
    ways: dict[PluginId, list[PluginId]] = {start: [start]}
    queue = [start]
    for plugin in queue:
        for needed in _needs(here, plugin):
            if needed == start:
                return [*ways[plugin], start]
            if needed not in ways:
                ways[needed] = [*ways[plugin], needed]
                queue.append(needed)
    return []


def _needs(here: Found, plugin: PluginId) -> list[PluginId]:
    """Return who serves as the dependencies of *plugin*, without those that nobody serves as."""
    served = {_serving(here, needed) for needed in here[plugin].depends_on}
    return sorted(found for found in served if found is not None)


def _serving(here: Found, needed: PluginId) -> PluginId | None:
    if needed in here:
        return needed
    return min((p for p, manifest in here.items() if needed in manifest.replaces), default=None)


def _disable_dependents(found: Found, disabled: dict[PluginId, PluginDisabled]) -> None:
    """Disable what lacks a dependency, until nothing more does."""
    while True:
        here = {key: value for key, value in sorted(found.items()) if key not in disabled}
        lacking = dict(_lacking(here, found))
        if not lacking:
            return
        disabled |= lacking


def _lacking(here: Found, found: Found) -> Refusals:
    for plugin, manifest in here.items():
        for needed in sorted(manifest.depends_on):
            if _serving(here, needed) is None:
                state = "is disabled" if needed in found else "is not there"
                yield _refusal(plugin, f"depends on {needed}, which {state}")


def _ordered(here: Found) -> Iterator[Manifest]:
    left = sorted(here.values(), key=lambda manifest: (manifest.priority, manifest.id))
    done: set[PluginId] = set()
    while left:
        ready = next(m for m in left if done.issuperset(_needs(here, m.id)))
        left.remove(ready)
        done.add(ready.id)
        yield ready
