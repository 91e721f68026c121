"""Check that a wheel carries what the code reads at run time."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Folders of the repository, and where the wheel keeps them.
SHIPPED = {
    "contracts": "nxkernel/contracts",
    "examples/screenmem": "nxkernel_cli/examples/screenmem",
}
MARKERS = {"nxkernel/py.typed", "nxkernel_cli/py.typed"}


def expected() -> set[str]:
    """Return the names that the wheel must contain."""
    names = set(MARKERS)
    for folder, target in SHIPPED.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                names.add(f"{target}/{path.relative_to(ROOT / folder).as_posix()}")
    return names


def missing(wheel: Path) -> list[str]:
    """Return, sorted, the expected names that *wheel* lacks."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(expected() - set(archive.namelist()))


def main(argv: list[str]) -> int:
    """Print what the wheel named in *argv* lacks; 1 if anything, else 0."""
    wheel = Path(argv[0])
    lacking = missing(wheel)
    for name in lacking:
        print(f"{wheel.name}: missing {name}", file=sys.stderr)
    if not lacking:
        print(f"{wheel.name}: all {len(expected())} shipped files are inside")
    return 1 if lacking else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
