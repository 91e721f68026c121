"""The tables of ``docs/reference/artifacts.md``, from the schemas that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tools.artifacts.kinds import KINDS

BEGIN = "<!-- written by python -m tools.artifacts; edit tools/artifacts/kinds.py -->"
END = "<!-- end of what is written -->"


def page(text: str, documents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page *text* with the tables of *documents*, by kind, between its two marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    tables = "\n".join(line for kind in KINDS for line in _section(kind, documents[kind]))
    return f"{head}{BEGIN}\n\n{tables}\n{END}{tail}"


def _section(kind: str, document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {kind}"
    yield ""
    yield f"{document['title']}: `contracts/sst/{kind}.schema.json`, `{document['$id']}`."
    yield ""
    yield "| field | what | meaning |"
    yield "| --- | --- | --- |"
    for place, schema, required in _fields(document, document):
        mark = "**" if required else ""
        shown = f"{mark}`{place}`{mark}"
        yield f"| {shown} | {_type(document, schema)} | {schema.get('description', '')} |"
    yield ""


def _fields(
    root: Mapping[str, Any], schema: Mapping[str, Any], place: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield the fields of *schema* and of the objects in it, but not those of another kind."""
    for name, given in schema.get("properties", {}).items():
        own = _resolved(root, given)
        yield place + name, own, name in schema.get("required", ())
        inner, suffix = own, "."
        if own.get("type") == "array":
            inner, suffix = _resolved(root, own["items"]), "[]."
        if "x-nx-artifact" not in inner:
            yield from _fields(root, inner, place + name + suffix)


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What *schema* refers to, under the description that stands nearest."""
    if "$ref" not in schema:
        return dict(schema)
    name = schema["$ref"].rpartition("/")[2]
    return {**root["$defs"][name], "called": name, **schema}


def _type(root: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "x-nx-artifact" in schema:
        return f"[{schema['x-nx-artifact']}](#{schema['x-nx-artifact']})"
    if schema.get("called") in ("bbox", "confidence", "digest", "id", "milliseconds"):
        return str(schema["called"])
    if schema.get("type") == "array":
        each = ", each for itself" if "x-nx-each" in schema else ""
        return f"list of {_type(root, _resolved(root, schema['items']))}{each}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("type", "bytes or blob"))
