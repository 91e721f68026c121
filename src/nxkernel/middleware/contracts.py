"""The middleware that holds settings, arguments and results to their JSON Schemas.

A hook has up to two contracts: the application's own, and the one by which a plugin's manifest
narrows it. Both apply; a plugin can promise more than the hook asks, never less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from nxkernel.dispatch.stack import BootFacts, Layer, PluginFacts
from nxkernel.errors import KernelConfigError, ManifestInvalid, SchemaInvalid, SettingsInvalid
from nxkernel.schemas import CompiledSchema, SchemaIssue, SchemaRegistry
from nxkernel.types import Call, CallError, Fault, Outcome, PluginId

__all__ = ["Contracts", "as_json"]

Side = Literal["input", "output"]
#: ``{hook: {"input": schema, "output": schema}}``
Schemas = Mapping[str, Mapping[str, Any]]
SIDES: tuple[Side, ...] = ("input", "output")
_BYTES = re.compile(r"\$+bytes")
_FILE = re.compile(r"(?P<hook>.+)\.(?P<side>input|output)\.schema\.json")


class Contracts:
    """Checks what goes to a plugin and what comes back.

    Args:
        hooks: the application's contracts, ``{hook: {"input": schema, "output": schema}}``, or a
            folder of files ``<hook>.input.schema.json`` and ``<hook>.output.schema.json``. An input
            schema describes the object of all arguments, an output schema one provider's result.

    Arguments that violate the application's contract are ``contract.input``, the caller's fault;
    arguments outside the plugin's narrower one are ``provider.not_applicable``, nobody's fault but
    the host's, which asked. A result that violates either is ``contract.output``, the plugin's
    fault, and is removed. None is pluggy's "no answer" and is not checked. A wrapper's arguments
    are checked at its setup; its result is the hook's and not one provider's.

    bytes never enter a validator: see :func:`as_json`.
    """

    name = "contracts"

    def __init__(self, hooks: Schemas | Path | str | None = None) -> None:
        self._given: Schemas | Path = Path(hooks) if isinstance(hooks, str) else hooks or {}
        self._registry = SchemaRegistry()
        self._hooks: dict[tuple[str, Side], CompiledSchema] = {}
        self._plugins: dict[tuple[PluginId, str, Side], CompiledSchema] = {}
        #: The latest arguments that were found in order: a fan-out asks once for each provider.
        self._latest: tuple[str, str] | None = None

    def boot(self, facts: BootFacts) -> None:
        """Compile every schema, and check every plugin's settings.

        Raises:
            KernelConfigError: for a contract of the application that is malformed or names no hook.
            ManifestInvalid: for a plugin's contract or settings schema that is malformed.
            SettingsInvalid: for settings that their schema forbids.
        """
        given = self._given
        named = _from_folder(given) if isinstance(given, Path) else _from_mapping(given)
        self._hooks = {key: self._own(facts, place, *key, raw) for place, key, raw in named}
        self._plugins = {}
        self._latest = None
        for plugin in sorted(facts.plugins):
            self._boot_plugin(facts.plugins[plugin])

    def around(self, call: Call) -> Layer:
        """Check the arguments, send the call on, check the result."""
        if call.phase != "teardown" and (refusal := self._check_input(call)):
            return refusal
        outcome = yield call
        return self._check_output(call, outcome) if call.phase == "call" else outcome

    def close(self) -> None:
        """Nothing to do: a verdict leaves nothing behind."""

    # -- boot ------------------------------------------------------------------------------------

    def _own(
        self, facts: BootFacts, place: str, hook: str, side: Side, schema: Any
    ) -> CompiledSchema:
        if hook not in facts.specs:
            known = ", ".join(sorted(facts.specs))
            raise KernelConfigError(f"{place}: no hook {hook!r}; the hooks are {known}")
        try:
            return self._registry.compile(schema, name=place)
        except SchemaInvalid as error:
            raise KernelConfigError(error.message, hook=hook, details=error.details) from None

    def _boot_plugin(self, facts: PluginFacts) -> None:
        if facts.settings_schema is not None:
            self._check_settings(facts, facts.settings_schema)
        for hook in sorted(facts.contracts):
            for side in SIDES:
                if side in facts.contracts[hook]:
                    compiled = self._narrowed(facts, hook, side)
                    self._plugins[facts.id, hook, side] = compiled

    def _narrowed(self, facts: PluginFacts, hook: str, side: Side) -> CompiledSchema:
        place = f"contracts.{hook}.{side}"
        return self._of_plugin(facts, place, facts.contracts[hook][side], hook)

    def _of_plugin(
        self, facts: PluginFacts, place: str, schema: Any, hook: str = ""
    ) -> CompiledSchema:
        try:
            return self._registry.compile(schema, name=place)
        except SchemaInvalid as error:
            message = f"the manifest of {facts.id!r}: {error.message}"
            raise ManifestInvalid(
                message, plugin=facts.id, hook=hook, details=error.details
            ) from None

    def _check_settings(self, facts: PluginFacts, schema: Mapping[str, Any]) -> None:
        issues = self._of_plugin(facts, "settings.schema", schema).validate(as_json(facts.settings))
        if issues:
            message = f"settings of {facts.id!r}: {_summary(issues)}"
            raise SettingsInvalid(message, plugin=facts.id, details=_details("settings", issues))

    # -- calls -----------------------------------------------------------------------------------

    def _check_input(self, call: Call) -> Outcome | None:
        own = self._hooks.get((call.hook, "input"))
        if own and (issues := self._arguments(call, own)):
            return _refuse(call, "contract.input", "caller", "hook", issues)
        narrower = self._plugins.get((call.plugin, call.hook, "input"))
        if narrower and (issues := narrower.validate(as_json(call.arguments))):
            return _refuse(call, "provider.not_applicable", "host", "plugin", issues)
        return None

    def _arguments(self, call: Call, contract: CompiledSchema) -> list[SchemaIssue]:
        key = (call.hook, call.input_digest)
        if key == self._latest:
            return []
        issues = contract.validate(as_json(call.arguments))
        if not issues:
            self._latest = key
        return issues

    def _check_output(self, call: Call, outcome: Outcome) -> Outcome:
        if outcome.error is not None or outcome.value is None:
            return outcome
        contracts = {
            "hook": self._hooks.get((call.hook, "output")),
            "plugin": self._plugins.get((call.plugin, call.hook, "output")),
        }
        for contract, compiled in contracts.items():
            if compiled and (issues := compiled.validate(as_json(outcome.value))):
                return _withhold(call, outcome, contract, issues)
        return outcome


def as_json(value: Any) -> Any:
    """Return a copy of a plain *value* in which a validator meets nothing but JSON.

    bytes become ``{"$bytes": <their length>}``. A key of the value's own that reads ``$bytes``,
    after any number of ``$``, gets one more ``$``, so that no dict passes for bytes.
    """
    if isinstance(value, bytes):
        return {"$bytes": len(value)}
    if isinstance(value, Mapping):
        return {_escaped(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def _escaped(key: str) -> str:
    return "$" + key if key.startswith("$") and _BYTES.fullmatch(key) else key


def _summary(issues: list[SchemaIssue]) -> str:
    more = len(issues) - 1
    return f"{issues[0]}" + (f" (and {more} more)" if more else "")


def _details(contract: str, issues: Iterable[SchemaIssue]) -> dict[str, Any]:
    return {"contract": contract, "issues": [attrs.asdict(issue) for issue in issues]}


def _refuse(
    call: Call, code: str, fault: Fault, contract: str, issues: list[SchemaIssue]
) -> Outcome:
    whose = "the hook's contract" if contract == "hook" else f"the contract of {call.plugin!r}"
    message = f"arguments of hook {call.hook!r} are outside {whose}: {_summary(issues)}"
    return Outcome.failed(call, code, message, fault, details=_details(contract, issues))


def _withhold(call: Call, outcome: Outcome, contract: str, issues: list[SchemaIssue]) -> Outcome:
    whose = "the hook's contract" if contract == "hook" else "the plugin's own contract"
    message = f"result of {call.plugin!r} for hook {call.hook!r} is outside {whose}: "
    error = CallError(
        code="contract.output",
        message=message + _summary(issues),
        details=_details(contract, issues),
    )
    return attrs.evolve(outcome, value=None, error=error, fault="plugin")


#: Where a schema stands, what it is for, and the schema.
Named = tuple[str, tuple[str, Side], Any]


def _from_mapping(given: Schemas) -> Iterator[Named]:
    for hook in sorted(given):
        place, sides = f"Contracts(hooks)[{hook!r}]", _sides(given[hook])
        if wrong := sorted(sides.keys() - set(SIDES)):
            raise KernelConfigError(f"{place}: expected 'input' or 'output', got {wrong[0]!r}")
        for side in SIDES:
            if side in sides:
                yield f"{place}[{side!r}]", (hook, side), sides[side]


def _sides(schemas: Any) -> Mapping[str, Any]:
    """The schemas by side; what is no mapping at all has one side, and a wrong one."""
    return schemas if isinstance(schemas, Mapping) else {type(schemas).__name__: schemas}


def _from_folder(folder: Path) -> Iterator[Named]:
    if not folder.is_dir():
        raise KernelConfigError(f"Contracts({folder.name!r}): no such folder")
    for path in sorted(folder.iterdir()):
        if match := _FILE.fullmatch(path.name):
            side: Side = "input" if match["side"] == "input" else "output"
            yield path.name, (match["hook"], side), _read(path)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        raise KernelConfigError(f"{path.name}: {reason}") from None
