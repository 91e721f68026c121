import json

import nxkernel as nx
from uses import USES

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def act(self, value):
        return json.loads(json.dumps(USES[value]()))

    @hookimpl
    def echo(self, value):
        return value
