import random
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

AT_IMPORT = [random.random() for _ in range(3)]


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        return {
            "import": AT_IMPORT,
            "rng": [self.context.rng.random() for _ in range(3)],
            "hash": hash("text"),
            "order": list({"one", "two", "three", "four"}),
            "zone": list(time.tzname),
            "now": self.context.now().isoformat(),
        }
