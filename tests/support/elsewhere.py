"""Another process of an application, which is sent values by pickle, as Dask's workers are."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

from tests.support import interpreter


def sent(**values: Any) -> dict[str, tuple[str, Any]]:
    """Have another process look at *values*; return by name what they look like there, and them.

    Of the result of a call, what it raises there when it is unwrapped, or its value.
    """
    python = interpreter.own()
    done = subprocess.run(
        python.command("tests.support.elsewhere"),
        input=pickle.dumps(values),
        stdout=subprocess.PIPE,
        env={**os.environ, **python.environment},
        check=True,
    )
    seen: dict[str, tuple[str, Any]] = pickle.loads(done.stdout)
    return seen


def _seen(value: Any) -> tuple[str, Any]:
    if not hasattr(value, "unwrap"):
        return repr(value), value
    try:
        return repr(value), value.unwrap()
    except Exception as error:
        return repr(value), error


def main() -> None:
    """Answer what comes on standard input."""
    values = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps({name: _seen(value) for name, value in values.items()}))


if __name__ == "__main__":
    main()
