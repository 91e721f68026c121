import json
import os
import pathlib

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

#: What the file may say of a number.
WHIMS = {
    "value": lambda found: found["items"][2].update(deep=["other", 0.0]),
    "longer": lambda found: found["items"].append("one more"),
    "less": lambda found: found.pop("n"),
    "more": lambda found: found.update(also=True),
    "float": lambda found: found.update(n=float(found["n"])),
    "sign": lambda found: found["items"][2].update(deep=["same", -0.0]),
    "exit": lambda found: os._exit(3),
}


class Plugin:
    def __init__(self, context):
        self.context = context
        place = pathlib.Path(context.settings["place"])
        self.whims = {int(n): whim for n, whim in json.loads(place.read_text()).items()}

    @hookimpl
    def act(self, value):
        whim = self.whims.get(value, "")
        if whim == "raise" or (value % 100 == 17 and whim != "calm"):
            raise ValueError(f"no answer to {value}")
        drawn = self.context.rng.random()
        found = {"n": value, "drawn": drawn, "items": [value, "x", {"deep": ["same", 0.0]}]}
        if value % 49 == 0 and whim != "shy":
            word = "changed" if whim == "ask" else "word"
            found["heard"] = self.context.call("echo", value=[value, word])
        WHIMS.get(whim, str)(found)
        return found

    @hookimpl
    def echo(self, value):
        return value
