"""JSON Schema at every border: manifests, settings, arguments, results.

``registry`` compiles and validates, ``profile`` says which schemas are accepted, ``patterns``
which regular expressions; ``issues`` words what is wrong, ``defaults`` fills what was left out,
``contracts`` finds the schemas that ship with the package, ``published`` those among them that
others may refer to by name; ``vocabulary`` has the keywords of our own. Nothing here opens a socket
or a file because a schema says so.
"""

from nxkernel.schemas.contracts import load_contract
from nxkernel.schemas.issues import SchemaIssue, leading
from nxkernel.schemas.registry import CompiledSchema, SchemaRegistry, own, shared

__all__ = [
    "CompiledSchema",
    "SchemaIssue",
    "SchemaRegistry",
    "leading",
    "load_contract",
    "own",
    "shared",
]
