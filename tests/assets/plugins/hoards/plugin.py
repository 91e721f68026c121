import mmap
import os
import shutil
import signal
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")
MIB = 1 << 20


def shared(mebibytes):
    """Shared anonymous memory counts against no limit of the process."""
    held = []
    for _ in range(mebibytes):
        held.append(mmap.mmap(-1, MIB))
        for page in range(0, MIB, 4096):
            held[-1][page] = 1
    time.sleep(3600)


def private(mebibytes):
    return len(bytearray(mebibytes * MIB)) // MIB


def files(count):
    for number in range(count):
        with open(f"file-{number}", "wb") as file:
            file.write(b"x" * MIB)
    time.sleep(3600)


def emptied(count):
    for _ in range(count):
        with open("file", "wb") as file:
            file.write(b"x" * MIB)
        os.remove("file")
    return "done"


def nested(depth):
    for _ in range(depth):
        os.mkdir("deep")
        os.chdir("deep")
    time.sleep(3600)


def clean_up(_):
    for name in os.listdir():
        if name not in ("home", "tmp"):
            shutil.rmtree(name) if os.path.isdir(name) else os.remove(name)


def busy(_):
    while True:
        pass


def deaf(_):
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    busy(_)


def one_file(mebibytes):
    with open("file", "wb") as file:
        file.write(b"x" * mebibytes * MIB)


def reserved(mebibytes):
    with open("reserved", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, mebibytes * MIB)
    return os.stat("reserved").st_size // MIB


def opened(count):
    held = []
    try:
        for _ in range(count):
            held.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in held:
            os.close(descriptor)


WAYS = {
    "clean up": clean_up,
    "shared": shared,
    "private": private,
    "files": files,
    "emptied": emptied,
    "nested": nested,
    "busy": busy,
    "deaf": deaf,
    "one file": one_file,
    "reserved": reserved,
    "answer": lambda mebibytes: bytes(mebibytes * MIB),
    "open": opened,
}


class Plugin:
    @hookimpl
    def act(self, value):
        way, amount = value
        return WAYS[way](amount)

    @hookimpl
    def echo(self, value):
        return value
