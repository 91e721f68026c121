import os
import struct
import threading

import msgspec

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        body = msgspec.msgpack.encode(("Ready", context.settings["impls"]))
        os.write(4, struct.pack("<I", len(body)) + body)
        threading.Event().wait()

    @hookimpl
    def act(self, value):
        return value
