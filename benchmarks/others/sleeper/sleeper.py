"""Sleeps as long as it is told."""

import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("bench")


@hookimpl
def nap(seconds):
    """Sleep and say for how long."""
    time.sleep(seconds)
    return seconds
