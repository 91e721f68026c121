import os
import threading
import time

import helper
import json  # ours is not asked for: the name is the standard library's

import nxkernel as nx
from package import inner

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context
        self.seen = []

    @hookimpl
    def act(self, value):
        what, *rest = value
        return getattr(self, f"_{what}")(*rest)

    @hookimpl
    def echo(self, value):
        self.seen.append(value)
        return value

    def _where(self):
        return {
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "helper": helper.NAME,
            "inner": inner.NAME,
            "json": json.dumps([1]),
        }

    def _draw(self):
        return [self.context.rng.random() for _ in range(3)]

    def _settings(self):
        return {"id": self.context.plugin_id, "now": str(self.context.now())}

    def _mutate(self, given):
        given.append("mine")
        return given

    def _ask(self, hook, given):
        return self.context.call(hook, value=given)

    def _raise(self):
        helper.fail()

    def _exit(self):
        raise SystemExit(3)

    def _odd(self):
        return object()

    def _break(self):
        answer = 42
        breakpoint()
        return answer

    def _nest(self, depth):
        """Call itself through the kernel, on top of this very call."""
        return [depth, *self.context.call("act", value=["nest", depth - 1])[-1]] if depth else [0]

    def _spin(self):
        self.spinning = True
        print("spinning", flush=True)
        while self.spinning:
            pass
        return "stopped"

    def _wait(self, then=None):
        """Say so in a file, go on when there is another one, and then perhaps ask."""
        (self.context.run_dir / "waits").touch()
        while not (self.context.run_dir / "go").exists():
            time.sleep(0.001)
        if then == "ask":
            try:
                self.context.call("echo", value="too late")
            except Exception as error:
                self.seen.append(type(error).__name__)
        return "went"

    def _seen(self):
        return self.seen
