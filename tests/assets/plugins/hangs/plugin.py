import os
import re
import signal
import threading

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


def spin():
    while True:
        pass


def hold_the_interpreter():
    # One C call that never comes back to the interpreter: no Python-level timer can end it.
    re.match(r"(a+)+$", "a" * 64 + "b")


def deaf_to_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    threading.Event().wait()


def stop_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


WAYS = {
    "spin": spin,
    "C call": hold_the_interpreter,
    "signals": deaf_to_signals,
    "stopped": stop_itself,
    "lock": lambda: threading.Lock().acquire() and threading.Event().wait(),
}


class Plugin:
    @hookimpl
    def act(self, value):
        WAYS[value]()

    @hookimpl
    def echo(self, value):
        return value
