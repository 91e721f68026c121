import gc
import hashlib
import threading

import attrs

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


@attrs.frozen
class Picture:
    name: str
    image: nx.Blob
    thumbs: tuple[nx.Blob, ...]
    raw: nx.Blob | None = None


class Plugin:
    def __init__(self, context):
        self.context = context
        self.kept = []

    @hookimpl
    def act(self, value):
        return getattr(self, value["do"])(value)

    @hookimpl
    def echo(self, value):
        return value

    @hookimpl
    def develop(self, picture: Picture) -> Picture:
        turned = nx.Blob(picture.image.bytes()[::-1], "image/x-turned")
        return Picture(picture.name.upper(), turned, (*picture.thumbs, picture.image))

    def facts(self, value):
        """Say what came: the bytes are read through the view."""
        return [
            [blob.size, blob.media, blob.digest, hashlib.sha256(blob.view()).hexdigest()]
            for blob in value["blobs"]
        ]

    def make(self, value):
        """As many blobs as asked for, of the same size and different bytes."""
        return [nx.Blob(bytes([n]) * value["size"], "image/x-made") for n in range(value["count"])]

    def keep(self, value):
        """Keep the blob, a view of it, and a view of that view, beyond the call."""
        blob = value["blob"]
        self.kept.append((blob, blob.view(), blob.view()[1:]))

    def told(self, value):
        """Say what the kept ones hold now."""
        return [
            [hashlib.sha256(each).hexdigest() for each in (blob.bytes(), view, b"\0" + bytes(rest))]
            for blob, view, rest in self.kept
        ]

    def watch(self, value):
        """Read a view in a thread, without a pause, through the end of this call and the next."""
        view, stop, seen = value["blob"].view(), threading.Event(), set()

        def read():
            while not stop.is_set():
                seen.add(hashlib.sha256(view).hexdigest())

        thread = threading.Thread(target=read)
        thread.start()
        self.watched = thread, stop, seen

    def watched_until_now(self, value):
        thread, stop, seen = self.watched
        stop.set()
        thread.join()
        return sorted(seen)

    def drop(self, value):
        self.kept.clear()
        gc.collect()

    def write(self, value):
        """A blob's bytes cannot be changed by accident."""
        try:
            value["blob"].view()[0] = 0
        except TypeError:
            return "read-only"

    def ask(self, value):
        """Have another plugin act, and return what it returned and whether ours is unharmed."""
        before = hashlib.sha256(value["blob"].view()).hexdigest()
        answer = self.context.call("act", value=value["onward"])
        return [answer, before == hashlib.sha256(value["blob"].view()).hexdigest()]

    def ask_often(self, value):
        """Ask many times for a new blob, keeping none or all of the answers."""
        answers = []
        for _ in range(value["times"]):
            answer = self.context.call("act", value=value["onward"])
            if value["hold"]:
                answers.append(answer)
        return [hashlib.sha256(blob.view()).hexdigest() for answer in answers for blob in answer[0]]
