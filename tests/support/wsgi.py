"""A web application with a kernel that is booted when it is imported, as gunicorn's --preload does.

``DATA`` in the environment is the kernel's data directory. The process that imports this module
goes on calling in a thread; what it is answered stands in ``DATA/parent.txt``.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support.zoo import Zoo, patient

DATA = Path(os.environ["DATA"])
kernel = patient(DATA, "prints", "inspects")
kernel.__enter__()
zoo = Zoo(kernel)


def answer(number: int) -> dict[str, Any]:
    """What this process is told about *number*, and by whom."""
    value = zoo.act("prints", number).value
    worker = zoo.act("inspects").value["pid"]
    return {"process": os.getpid(), "run": kernel.run.id, "value": value, "worker": worker}


def go_on() -> None:
    with (DATA / "parent.txt").open("w", buffering=1) as file:
        number = 0
        while kernel.health():
            number -= 1
            file.write(json.dumps([number, answer(number)]) + "\n")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    number = int(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer(number)).encode()]


threading.Thread(target=go_on, daemon=True).start()
