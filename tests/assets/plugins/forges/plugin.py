import ctypes
import hashlib
import mmap
import os
import struct
import threading

import msgspec

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

RESULTS, TAKEN, ARENA = 4, 5, 6
PAGE = 4096
ONE, TWO = b"1" * (10 * PAGE + 1), b"2" * (9 * PAGE)


def name(data):
    return hashlib.sha256(data).digest()


def refer(*blobs, size=None, media=b"a/b"):
    """The canonical bytes of a list of references."""
    bodies = [
        name(data) + (len(data) if size is None else size).to_bytes(8, "little") + media
        for data in blobs
    ]
    refs = [b"\xc7" + bytes([len(body)]) + b"\x01" + body for body in bodies]
    return bytes([0x90 + len(refs)]) + b"".join(refs)


def inline(data, called=None):
    return ["Inline", called or name(data), data]


def lies(data, offset=0, size=None, called=None):
    return ["Slice", called or name(data), offset, len(data) if size is None else size]


def send(*fields):
    body = msgspec.msgpack.encode(fields)
    view = memoryview(struct.pack("<I", len(body)) + body)
    while view:
        view = view[os.write(RESULTS, view) :]


def refused(action):
    """What the walls or the seals answer."""
    try:
        action()
    except OSError:  # by a seal, or by the limit of a file's size
        return "refused"
    return "done"


class Plugin:
    def __init__(self, context):
        self.runner = context._kernel
        self.size = os.fstat(ARENA).st_size
        self.memory = mmap.mmap(ARENA, self.size)
        self.taken = mmap.mmap(TAKEN, self.size, prot=mmap.PROT_READ)
        self.stop = None

    @hookimpl
    def echo(self, value):
        return value

    @hookimpl
    def act(self, value):
        if isinstance(value, dict):
            return getattr(self, value["do"])(value)
        self.write(ONE, 0)
        self.write(TWO, 11 * PAGE)
        lie = self.lies(self.runner._stack[-1].seq)[value]
        send(*lie)
        if lie[0] == "Broker":
            threading.Event().wait()  # as if for the reply
        return "the truth"

    def write(self, data, offset):
        self.memory[offset : offset + len(data)] = data

    def lies(self, seq):
        def result(payload, *blobs):
            return ("Result", seq, payload, 0, list(blobs))

        def broker(payload, held, *blobs):
            return ("Broker", 1, seq, "echo", payload, held, list(blobs))

        asked = b"\x81\xa5value"
        return {
            "another digest in the frame": result(refer(ONE), inline(TWO, name(ONE))),
            "another digest in the arena": result(refer(ONE), lies(TWO, called=name(ONE))),
            "bytes that are not there": result(refer(ONE), lies(ONE, offset=0, size=PAGE)),
            "another size": result(refer(ONE, size=PAGE), lies(ONE)),
            "a size of nothing": result(refer(b""), lies(b"")),
            "a negative size": result(refer(ONE), lies(ONE, size=-1)),
            "a gigantic size": result(refer(ONE), lies(ONE, size=2**62)),
            "a size of 64 bits": result(refer(ONE), lies(ONE, size=2**64 - 1)),
            "all of the arena": result(refer(ONE), lies(ONE, size=self.size)),
            "a negative offset": result(refer(ONE), lies(ONE, offset=-PAGE)),
            "before the arena": result(refer(ONE), lies(ONE, offset=-self.size)),
            "an offset beyond": result(refer(ONE), lies(ONE, offset=self.size)),
            "a gap": result(refer(TWO), lies(TWO, offset=11 * PAGE)),
            "an odd place": result(refer(ONE, TWO), lies(ONE), lies(TWO, len(ONE))),
            "an overlap": result(refer(ONE, TWO), lies(ONE), lies(TWO, 0)),
            "twice in the arena": result(refer(ONE), lies(ONE), lies(ONE, 11 * PAGE)),
            "twice": result(refer(ONE), lies(ONE), inline(ONE)),
            "nobody refers to the frame": result(b"\xc0", inline(ONE)),
            "nobody refers to the arena": result(refer(ONE), lies(ONE), lies(TWO, 11 * PAGE)),
            "it did not come": result(refer(ONE)),
            "it came before": result(refer(self.before)) if hasattr(self, "before") else None,
            "no media type": result(refer(ONE, media=b"Image/PNG"), lies(ONE)),
            "too many": result(b"\xc0", *[inline(b"")] * 1025),
            "no kind": result(b"\xc0", ["File", name(ONE), "/etc/passwd"]),
            "asked with another digest": broker(asked + refer(ONE), 0, inline(TWO, name(ONE))),
            "asked with what nobody names": broker(asked + b"\xc0", 0, lies(ONE)),
            "asked with what did not come": broker(asked + refer(ONE), 0),
            "holds what it was not given": broker(asked + b"\xc0", 1),
            "holds less than nothing": broker(asked + b"\xc0", -1),
        }

    def remember(self, value):
        self.before = value["blob"].bytes()

    def tamper(self, value):
        """Try to change what the arena is."""
        seals = ctypes.CDLL(None, use_errno=True)
        return [
            [
                refused(lambda: os.ftruncate(fd, 0)),
                refused(lambda: os.ftruncate(fd, 1 << 40)),
                refused(lambda: os.pwrite(fd, b"x", self.size)),
                seals.fcntl(fd, 1033, 8),
            ]
            for fd in (TAKEN, ARENA)
        ]

    def scribble(self, value):
        """Write over what came and over everything else; what came is read before."""
        seen = hashlib.sha256(value["blob"].view()).hexdigest()
        self.memory[: 4 << 20] = b"!" * (4 << 20)
        path = f"/proc/self/fd/{TAKEN}"
        failed = [
            refused(lambda: os.pwrite(TAKEN, b"!" * 4096, 0)),
            refused(lambda: mmap.mmap(TAKEN, self.size)),
            refused(lambda: os.truncate(path, 0)),
            refused(lambda: self.reopened(path)),
            refused(lambda: self.taken.madvise(9)),
        ]
        return [seen, hashlib.sha256(value["blob"].view()).hexdigest(), failed]

    def reopened(self, path):
        """What the owner of a file could do."""
        ctypes.CDLL(None).fchmod(TAKEN, 0o600)
        os.pwrite(os.open(path, os.O_RDWR), b"!" * 4096, 0)

    def read(self, value):
        return hashlib.sha256(value["blob"].view()).hexdigest()

    def flicker(self, value):
        """Answer with a blob whose bytes change without a pause, until the next call."""
        blob = nx.Blob(bytes(1 << 20))
        self.stop = threading.Event()

        def flip():
            while not self.stop.is_set():
                self.memory[(1 << 20) - 1] ^= 1

        threading.Thread(target=flip, daemon=True).start()
        return blob

    def still(self, value):
        if self.stop is not None:
            self.stop.set()

    def look(self, value):
        """Whether the bytes are anywhere in the arena."""
        return max(each.find(value["wanted"]) for each in (self.memory, self.taken)) >= 0
