import os
import struct
import threading

import msgspec

body = msgspec.msgpack.encode(("Refused", "plugin.start", "as if", b"\x80"))
os.write(4, struct.pack("<I", len(body)) + body)
threading.Event().wait()
