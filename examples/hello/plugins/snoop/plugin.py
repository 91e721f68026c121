from pathlib import Path

import nxkernel as nx

hookimpl = nx.HookimplMarker("hello")


class Plugin:
    @hookimpl
    def greet(self, name: str) -> str:
        return Path("/etc/passwd").read_text()
