import os
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def fail(_):
    raise ValueError("the end of the road")


def sleep(_):
    print("going to sleep", flush=True)
    time.sleep(3600)


#: What may stand at the end of the list instead of a hook.
ENDS = {"raise": fail, "exit": lambda _: os._exit(3), "sleep": sleep}


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def ask_a(self, value):
        return ["a", *self.onward(value)]

    def onward(self, value):
        if not value:
            return []
        step, *rest = value
        if step == "try":
            return self.attempt(rest)
        if step in ENDS:
            return ENDS[step](rest)
        return self.context.call(step, value=rest)[0]

    def attempt(self, value):
        try:
            return self.onward(value)
        except nx.NxError as error:
            return [error.code]
