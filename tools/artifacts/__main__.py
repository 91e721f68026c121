"""``python -m tools.artifacts [--check]``: write the schemas of the artifacts, or compare them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.artifacts.examples import EXAMPLES
from tools.artifacts.figure import figure
from tools.artifacts.kinds import KINDS, PARTS
from tools.artifacts.page import page
from tools.artifacts.words import SHARED, Schema

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "contracts" / "sst"
PAGE = ROOT / "docs" / "reference" / "artifacts.md"
FIGURE = PAGE.with_suffix(".svg")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def written() -> dict[Path, str]:
    """Return the text of each file by its path."""
    documents = {kind: document(kind) for kind in KINDS}
    texts = {
        FOLDER / f"{kind}.schema.json": json.dumps(documents[kind], indent=2) + "\n"
        for kind in sorted(KINDS)
    }
    texts[FIGURE] = figure()
    return texts | {PAGE: page(PAGE.read_text(encoding="utf-8"), documents)}


def document(kind: str) -> Schema:
    """Return the whole schema of *kind*."""
    title, schema = KINDS[kind]
    defs = {name: definition(name) for name in sorted(needed(schema))}
    return {
        "$schema": DIALECT,
        "$id": f"urn:nxkernel:sst:{kind.replace('_', '-')}:1",
        "title": title,
        **artifact(kind),
        **({"$defs": defs} if defs else {}),
        "examples": [EXAMPLES[kind]],
    }


def artifact(kind: str) -> Schema:
    """Return the schema of *kind*, with its name in it."""
    _, schema = KINDS[kind]
    return {"type": schema["type"], "x-nx-artifact": kind, **_without_empty(schema)}


def definition(name: str) -> Schema:
    """Return what stands under ``$defs`` as *name*."""
    if name in KINDS:
        return {"title": KINDS[name][0], **artifact(name)}
    return _without_empty(SHARED.get(name) or PARTS[name])


def needed(schema: Any) -> set[str]:
    """Return the names of all definitions that *schema* leads to."""
    found: set[str] = set()
    todo = [schema]
    while todo:
        for name in _references(todo.pop()):
            if name not in found:
                found.add(name)
                todo.append(definition(name))
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _without_empty(schema: Any) -> Any:
    """Copy *schema* without empty descriptions and lists of required keys."""
    if isinstance(schema, dict):
        empty = {k for k in ("description", "required") if schema.get(k) in ("", [])}
        return {k: _without_empty(v) for k, v in schema.items() if k not in empty}
    return [_without_empty(v) for v in schema] if isinstance(schema, list) else schema


def main(argv: list[str]) -> int:
    """Write the files, or say which differ; 1 if any does, else 0."""
    files = written()
    stale = sorted(set(FOLDER.glob("*")) - set(files))
    changed = [path for path in files if not path.is_file() or path.read_text() != files[path]]
    if "--check" in argv:
        for path in [*stale, *changed]:
            name = path.relative_to(ROOT).as_posix()
            print(f"{name}: run python -m tools.artifacts", file=sys.stderr)
        return int(bool(stale or changed))
    FOLDER.mkdir(exist_ok=True)
    for path in changed:
        path.write_text(files[path])
    for path in stale:
        path.unlink()
    print(f"{len(files)} files, {len(changed)} written, {len(stale)} removed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
