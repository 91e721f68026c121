"""The flagship example, from a checkout or from the wheel that carries it."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import click

__all__ = ["load_screenmem"]

PACKAGE = "screenmem"
_HERE = Path(__file__).resolve().parent
#: In the wheel, then beside the sources of a checkout.
_PLACES = (_HERE / "examples", _HERE.parents[1] / "examples")
#: What the example's plugins and its picture need, as one imports it.
_NEEDED = ("rapidocr", "onnxruntime", "PIL")


def load_screenmem() -> ModuleType:
    """Import ``screenmem.app``.

    Raises:
        ClickException: when what it needs is not installed.
    """
    lacking = [name for name in _NEEDED if find_spec(name) is None]
    if lacking:
        raise click.ClickException(
            f"the example needs {', '.join(lacking)}, which {_are(lacking)} not installed; "
            'run: python -m pip install "nxkernel[demo]"'
        )
    place = next((place for place in _PLACES if (place / PACKAGE / "app.py").is_file()), None)
    if place is None:
        raise click.ClickException("this installation lacks its example; install nxkernel again")
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    return importlib.import_module(f"{PACKAGE}.app")


def _are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"
