"""Counts, caches, draws, opens, starts threads: all that one call could leave to the next."""

import functools
import os
import random
import signal
import sys
import threading
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")
calls = 0
opened = []
generator = random.Random(1)


@functools.cache
def first_asked(key):
    return calls


class Plugin:
    def __init__(self, context):
        self.context = context
        self.memory = []

    @hookimpl
    def act(self, value):
        return getattr(self, "do_" + value[0])(*value[1:])

    def do_count(self):
        global calls
        calls += 1
        return calls

    def do_traces(self):
        """Return everything that a call before this one may have left; leave it to the next."""
        global calls
        calls += 1
        found = {
            "calls": calls,
            "cached": first_asked("key"),
            "opened": len(opened),
            "threads": threading.active_count(),
            "random": random.random(),
            "generator": generator.random(),
            "modules": "colorsys" in sys.modules,
            "environment": os.environ.get("LEFT"),
            "folder": os.getcwd() == str(self.context.run_dir),
            "mask": os.umask(0o022),
        }
        import colorsys  # noqa: F401

        os.environ["LEFT"] = "behind"
        os.chdir("home")
        opened.append(open(self.context.run_dir / "file", "a"))
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        threading.Thread(target=time.sleep, args=(60,)).start()
        return found

    def do_process(self):
        return [os.getpid(), os.getppid()]

    def do_exit(self, status):
        os._exit(status)

    def do_signal(self, name):
        os.kill(os.getpid(), getattr(signal, name))

    def do_sleep(self, seconds):
        (self.context.run_dir / "asleep").touch()
        time.sleep(seconds)

    def do_raise(self):
        raise LookupError("on purpose")

    def do_print(self, text):
        sys.stdout.write(text)

    def do_spin(self):
        while True:
            pass

    def do_hoard(self):
        hoard = []
        while True:
            hoard.append(bytearray(1 << 24))

    def do_write(self, name, text):
        (self.context.run_dir / name).write_text(text)

    def do_fill(self, name):
        """Write a MiB, and give a watchdog the time to see it, with work that it notices."""
        (self.context.run_dir / name).write_bytes(bytes(1 << 20))
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            pass

    def do_read(self, name):
        return (self.context.run_dir / name).read_text()

    def do_ask(self, hook, value):
        before = self.do_count()
        answers = self.context.call(hook, value=value)
        return [before, answers, self.do_count()]

    def do_draw(self):
        return [random.random(), self.context.rng.random()]

    def do_reach(self, name):
        """Try what would reach the template or another call; return the error that it met."""
        return reach(name)

    @hookimpl
    def echo(self, value):
        return [self.do_count(), value]

    @hookimpl
    def told(self, value):
        global calls
        self.memory.append(value)
        calls += 100
        if value == "stay":
            (self.context.run_dir / "told").touch()
            time.sleep(3600)
        if value == "thread":
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        return list(self.memory)

    @hookimpl
    def ask_a(self, value):
        """Call oneself, *value* times."""
        self.do_count()
        return [calls, self.context.call("ask_a", value=value - 1)] if value else [calls]

    @hookimpl
    def again(self, value):
        """End until there is the file *value*, which the first time makes."""
        place = self.context.run_dir / value
        if not place.exists():
            place.touch()
            os._exit(1)
        return self.do_count()

    @hookimpl(wrapper=True)
    def wrapped(self, value):
        pid, count = os.getpid(), self.do_count()
        try:
            result = yield
        finally:
            with open(self.context.run_dir / "left", "a") as file:
                file.write(value)
        return [result, count, self.do_count(), pid == os.getpid()]

    @hookimpl
    def develop(self, picture):
        return picture


def reach(name):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    attempts = {
        "kill": lambda: libc.kill(parent, 9),
        "kill all": lambda: libc.kill(-1, 9),
        "tgkill": lambda: libc.syscall(234, parent, parent, 9),
        "ptrace": lambda: libc.syscall(101, 16, parent, 0, 0),
        "read": lambda: libc.syscall(310, parent, 0, 0, 0, 0, 0),
        "write": lambda: libc.syscall(311, parent, 0, 0, 0, 0, 0),
        "fork": lambda: libc.syscall(57),
        "filter": lambda: libc.syscall(317, 1, 0, 0),
        "limit": lambda: libc.syscall(302, parent, 9, ctypes.byref((ctypes.c_long * 2)(1, 1)), 0),
        "pidfd": lambda: libc.syscall(434, parent, 0),
        "take": lambda: libc.syscall(47, 4, 0, 0),
        "mem": lambda: libc.open(f"/proc/{parent}/mem".encode(), os.O_RDONLY),
        "group": lambda: libc.setpgid(parent, parent),
        "priority": lambda: libc.setpriority(0, parent, 19),
    }
    ctypes.set_errno(0)
    if attempts[name]() == -1:
        return ctypes.get_errno()
    return 0
