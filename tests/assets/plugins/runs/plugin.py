import ctypes
import os
import signal
import subprocess
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]


def bomb():
    """Fork whatever can be forked, in every generation."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)


def daemon():
    """Leave a process behind as daemons do: another session, and a parent that has ended."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(say, b"x")
            signal.pause()
        os._exit(0)
    os.waitpid(child, 0)
    os.read(hear, 1)
    return "left behind"


def tried(attempt):
    """Try in a child: what it says, or the name of the errno."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = repr(attempt())
        except OSError as error:
            found = os.strerror(error.errno)
        os.write(say, found.encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(hear, 1000).decode()


def namespace(flag):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(272, flag) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


class Plugin:
    def __init__(self, context):
        self.run_dir = str(context.run_dir)

    @hookimpl
    def act(self, value):
        way, *rest = value
        if way == "script":
            # The verified copy of a file is no program: its interpreter is one.
            return run("/bin/sh", os.path.join(os.path.dirname(__file__), "script"), *rest)
        if way == "own":
            # The program is granted, this copy of it is not.
            path = os.path.join(self.run_dir, "true")
            with open("/usr/bin/true", "rb") as source, open(path, "wb") as copy:
                copy.write(source.read())
            os.chmod(path, 0o755)
            return run(path)
        if way == "child":
            return {
                "read": tried(lambda: open("/etc/passwd").read()),
                "list": tried(lambda: os.listdir("/")),
                "signal": tried(lambda: os.kill(1 << 21, 0)),
                "namespace": tried(lambda: namespace(0x10000000)),
                "pids": tried(lambda: (os.getpid() < 400, os.getppid())),
            }
        return {"run": run, "bomb": bomb, "daemon": daemon}[way](*rest)

    @hookimpl
    def echo(self, value):
        return value
