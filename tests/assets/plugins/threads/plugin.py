import threading

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        found = []
        thread = threading.Thread(target=self.call, args=(found,))
        thread.start()
        thread.join()
        return found

    def call(self, found):
        try:
            found.append(self.context.call("ask_c", value=[]))
        except nx.NxError as error:
            found.append(error.code)

    @hookimpl
    def echo(self, value):
        return value
