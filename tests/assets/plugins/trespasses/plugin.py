import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def write(path):
    with open(path, "a") as file:
        file.write("mine now")


def connect(port):
    with socket.create_connection(("127.0.0.1", int(port)), timeout=1):
        return "connected"


def connect_itself(port):
    with socket.socket() as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", int(port)))


def listen(port):
    with socket.create_server(("127.0.0.1", int(port))) as server:
        return server.getsockname()[1]


def fork(_):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("select * from t").fetchall()


def module(folder):
    sys.path.insert(0, folder)
    try:
        import found_elsewhere
    finally:
        sys.path.remove(folder)
    return found_elsewhere.__name__


def wrapped(path):
    try:
        open(path)
    except OSError as error:
        raise RuntimeError("the settings cannot be had") from error


def hidden(path):
    try:
        open(path)
    except OSError:
        raise LookupError("no settings") from None


def swallowed(path):
    with contextlib.suppress(OSError):
        open(path)
    return "went on"


def in_a_thread(path):
    caught = []

    def read():
        try:
            open(path)
        except OSError as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    raise caught[0]


def datagram(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", int(port)))


def peek(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(1)


WAYS = {
    "peek": peek,
    "read": lambda path: open(path).read(),
    "list": os.listdir,
    "write": write,
    "remove": os.remove,
    "rename": lambda path: os.rename(path, path + ".old"),
    "mkdir": os.mkdir,
    "chmod": lambda path: os.chmod(path, 0o777),
    "copy": lambda path: shutil.copy(path, "copied"),
    "connect": connect,
    "connect itself": connect_itself,
    "datagram": datagram,
    "listen": listen,
    "look up": lambda name: socket.create_connection((name, 443)),
    "fork": fork,
    "subprocess": lambda path: subprocess.run([path], check=True),
    "signal": lambda pid: os.kill(int(pid), 0),
    "database": database,
    "import": module,
    "wrapped": wrapped,
    "hidden": hidden,
    "swallowed": swallowed,
    "thread": in_a_thread,
}


class Plugin:
    @hookimpl
    def act(self, value):
        way, target = value
        return WAYS[way](target) or "done"

    @hookimpl
    def echo(self, value):
        return value
