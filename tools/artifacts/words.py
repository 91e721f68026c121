"""What all kinds share: words to write schemas with, and the definitions that they refer to."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

#: Most elements of a list of artifacts, and characters of a text.
MANY, LONG = 100_000, 1_000_000


def ref(name: str, about: str = "") -> Schema:
    """Return a reference to the shared definition or the kind called *name*."""
    found: Schema = {"$ref": f"#/$defs/{name}"}
    return {"description": about, **found} if about else found


def whole(about: str, least: int = 0, most: int = 1_000_000) -> Schema:
    """Return the schema of an integer."""
    return {"description": about, "type": "integer", "minimum": least, "maximum": most}


def text(about: str, most: int = LONG, least: int = 0) -> Schema:
    """Return the schema of a text of at most *most* characters."""
    return {
        "description": about,
        "type": "string",
        **({"minLength": least} if least else {}),
        "maxLength": most,
    }


def flag(about: str) -> Schema:
    """Return the schema of a yes or no."""
    return {"description": about, "type": "boolean"}


def choice(about: str, values: str) -> Schema:
    """Return the schema of one of some words."""
    return {"description": about, "enum": values.split()}


def many(about: str, items: Schema, most: int = MANY, least: int = 0, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {
        "description": about,
        "type": "array",
        "items": items,
        **({"minItems": least} if least else {}),
        "maxItems": most,
        **more,
    }


def each(kind: str, about: str, most: int = MANY) -> Schema:
    """Return the schema of a list of artifacts, from which an invalid one is dropped alone."""
    return many(about, ref(kind), most, **{"x-nx-each": kind})


def ids(about: str, least: int = 0) -> Schema:
    """Return the schema of a list of ids without repetition."""
    return many(about, ref("id"), least=least, uniqueItems=True)


def closed(properties: dict[str, Schema], required: str, **more: Any) -> Schema:
    """Return the schema of an object with these keys and no others."""
    return {
        "type": "object",
        **more,
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


#: Definitions that several kinds refer to.
SHARED: dict[str, Schema] = {
    "id": {
        "description": "A name of the provider's own, unique among its kind within one state.",
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
    },
    "digest": {
        "description": "The content address of raw bytes.",
        "type": "string",
        "pattern": "^sha256:[0-9a-f]{64}$",
    },
    "bbox": {
        "description": "x0, y0, x1, y1 in pixels of the frame; x1 and y1 exclusive.",
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 100_000},
        "minItems": 4,
        "maxItems": 4,
    },
    "confidence": {
        "description": "Basis points: 0 to 10000, and no float.",
        "type": "integer",
        "minimum": 0,
        "maximum": 10_000,
    },
    "milliseconds": {
        "description": "Milliseconds since the Unix epoch.",
        "type": "integer",
        "minimum": 0,
        "maximum": 2**53,
    },
    "bytes": {
        "description": "Raw bytes or a blob, as a contract sees them.",
        "anyOf": [
            closed({"$bytes": whole("Their number.", 0, 2**40)}, "$bytes"),
            closed(
                {
                    "$blob": ref("digest", "The address of its bytes."),
                    "size": whole("Their number.", 0, 2**40),
                    "media": text("Their media type.", 100),
                },
                "$blob size",
            ),
        ],
    },
    "span": closed(
        {
            "start": whole("Offset of the first character."),
            "end": whole("Offset after the last character."),
        },
        "start end",
        description="A half-open range of characters.",
    ),
}
