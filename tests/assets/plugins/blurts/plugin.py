import logging
import os
import sys
import time
import urllib.parse

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context
        self.token = context.settings["token"]
        if context.settings["mood"] == "import":
            raise RuntimeError(f"cannot log in with {dict(context.settings)}")

    @hookimpl
    def act(self, value):
        getattr(self, value)()

    @hookimpl
    def echo(self, value):
        return value

    def prints(self):
        print("my settings:", dict(self.context.settings))
        self.context.log.warning("https://x/?key=%s", urllib.parse.quote(self.token))
        logging.getLogger("lib").error("login %r", self.context.settings["login"])

    def pieces(self):
        for start in range(0, len(self.token), 3):
            os.write(1, self.token[start : start + 3].encode())
            time.sleep(0.01)  # each is read by itself
        os.write(1, b"\n")

    def raises(self):
        try:
            raise KeyError(self.token)
        except KeyError as error:
            error.add_note(f"note: {self.token}")
            raise ValueError(f"bad login {self.context.settings['login']}") from error

    def opens(self):
        open("/etc/" + self.token)

    def dies(self):
        print(self.token, file=sys.stderr, flush=True)
        os.write(1, self.token[:-1].encode())  # nearly all of it, and no end of a line
        os._exit(3)
