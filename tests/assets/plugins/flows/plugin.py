import hashlib
import os
import random
import signal
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context
        #: How many items of any stream were made, and how streams ended.
        self.made = 0
        self.ended = []

    @hookimpl
    def flow(self, value):
        return getattr(self, "_" + value[0])(*value[1:])

    @hookimpl
    def flow_again(self, value):
        return self.flow(value)

    @hookimpl
    def flow_soon(self, value):
        return self.flow(value)

    @hookimpl
    def act(self, value):
        return [self.made, self.ended]

    @hookimpl
    def once(self, value):
        """Never ends by itself, nor at an interrupt if it is to insist."""
        while True:
            try:
                # Within: who hears it may interrupt at once.
                print("under way", flush=True)
                time.sleep(3600)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
                if value != "insists":
                    raise
            finally:
                print("left", flush=True)

    @hookimpl
    def echo(self, value):
        return value

    @hookimpl
    def ask_a(self, value):
        return self.context.call("echo", value=value)

    @hookimpl
    def ask_b(self, value):
        """Asks for one blob after the other, and says what all of them hold in the end."""
        blobs = [self.context.call("ask_c", value=each)[0] for each in value]
        return [hashlib.sha256(each.view()).hexdigest() for each in blobs]

    def _nothing(self):
        return None

    def _list(self, *items):
        return list(items)

    def _text(self):
        return "no stream"

    def _raises_at_once(self):
        raise LookupError("before the first item")

    def _count(self, last, size=0):
        """Numbers from 0, each with so many bytes beside it; without an end if *last* is None."""
        number = 0
        try:
            while last is None or number < last:
                self.made += 1
                yield [number, bytes(size)] if size else number
                number += 1
        finally:
            self.ended.append(number)

    def _blobs(self, sizes):
        for size in sizes:
            yield {"blob": nx.Blob(bytes([size % 251]) * size), "size": size}

    def _draws(self, count):
        for _ in range(count):
            yield [self.context.rng.random(), random.random(), str(self.context.uuid())]

    def _raises(self, after):
        yield from range(after)
        raise LookupError("in the middle")

    def _odd(self, after):
        yield from range(after)
        yield object()

    def _spends(self, turns):
        """Burns so many milliseconds of the processor for each item, and counts rows."""
        for ms, read, written in turns:
            until = time.process_time() + ms / 1000
            while time.process_time() < until:
                pass
            self.context.count(rows_read=read, rows_written=written)
            yield ms

    def _follows(self, steps):
        """Takes one step after the other: an item of so many bytes, a call, a failure."""
        try:
            for number, (what, much) in enumerate(steps):
                if what == "item":
                    self.made += 1
                    yield [number, bytes(much)]
                elif what == "blob":
                    self.made += 1
                    yield [number, nx.Blob(bytes(much))]
                elif what == "ask":
                    self.context.call("ask_c", value=much)
                elif what == "echo":
                    self.context.call("echo", value=much)
                elif what == "odd":
                    yield object()
                else:
                    raise LookupError(what)
        finally:
            self.ended.append("follows")

    def _traced(self, count):
        """The span around it, as it is seen at each item and on the way out."""
        for _ in range(count):
            yield self.context.traceparent

    def _dies(self, after):
        yield from range(after)
        os.kill(os.getpid(), signal.SIGKILL)

    def _sleeps(self, seconds, after):
        yield from range(after)
        time.sleep(seconds)
        yield "awake"

    def _waits(self, after, blob=None):
        """Makes its next item once there is a file called ``go`` in its folder."""
        try:
            yield from range(after)
            while not (self.context.run_dir / "go").exists():
                time.sleep(0.002)
            yield "gone"
        finally:
            self.ended.append("waits")
            if blob is not None:
                self.ended[-1] = hashlib.sha256(blob.view()).hexdigest()

    def _asks_and_waits(self):
        """Calls, makes an item, and calls again once there is a file called ``go``."""
        self.context.call("ask_c", value=0)
        yield 0
        while not (self.context.run_dir / "go").exists():
            time.sleep(0.002)
        try:
            self.context.call("ask_c", value=1)
        except nx.NxError as error:
            self.ended.append(error.code)
            raise

    def _asks(self, count):
        for number in range(count):
            yield self.context.call("echo", value=number)

    def _asks_for_stream(self):
        yield self.context.call("flow", value=["count", 3])

    def _hangs_at_its_end(self):
        try:
            yield 0
            while True:
                yield 1
        finally:
            time.sleep(3600)

    def _raises_at_its_end(self):
        try:
            while True:
                yield 0
        finally:
            raise LookupError("on the way out")

    async def _async(self, count):
        try:
            for number in range(count):
                yield number
        finally:
            self.ended.append("async")
