"""Recorded runs of the animal ``wavers``, which a file makes answer otherwise the second time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel._canonical import blobs_of, digest, encode
from nxkernel.recording.frames import frame
from nxkernel.recording.pack import PackWriter, raw_name
from nxkernel.recording.records import (
    Answer,
    Begun,
    Close,
    Ended,
    Head,
    Item,
    Question,
    RecordedError,
)
from nxkernel.types import CallId, Digest, RunId
from tests.support import zoo

__all__ = ["Waverer", "Written"]


@attrs.frozen
class Waverer:
    """A place with an application in it whose one plugin is ``wavers``."""

    place: Path

    def says(self, whims: Mapping[int, str]) -> None:
        """Have the plugin do, for each of these numbers, what its whim is."""
        folder = self.place / "media"
        folder.mkdir(exist_ok=True)
        (folder / "whims.json").write_text(json.dumps(whims))

    @property
    def plugin(self) -> Path:
        """The plugin's folder: a copy, that a test may change."""
        folder = self.place / "wavers"
        if not folder.exists():
            shutil.copytree(zoo.folder("wavers"), folder)
        return folder

    def kernel(self, *, recorded: bool = False, **options: Any) -> nx.Kernel:
        """Return a kernel over it, in a run of its own."""
        media = self.place / "media"
        run = nx.Run.create(self.place / "data", seed=7)
        stack = nx.standard_stack(run, rules=zoo.allow("wavers", "echo"))
        stack[2] = nx.Breaker(failures=10**6)
        settings = {"place": str(media / "whims.json"), "word": "abracadabra"}
        given: dict[str, Any] = {
            "specs": [zoo.Hooks],
            "run": run,
            "plugins": nx.discover(self.plugin),
            "middleware": [*stack, nx.Recording(run)] if recorded else stack,
            "paths": {"media_dir": media},
            "settings": {"wavers": settings},
            "grants": {"wavers": nx.Grant(read=("{media_dir}",))},
            "hosting": nx.Hosting(timeout_s=zoo.PATIENCE_S),
        }
        return nx.Kernel("zoo", **{**given, **options})

    def record(self, calls: int) -> Path:
        """Make *calls* calls of hook ``act``, and return the run directory."""
        with self.kernel(recorded=True) as kernel:
            for number in range(calls):
                kernel.call("act", value=number)
            return kernel.run.dir


class Written:
    """A recording of calls of plugin ``p``, written one by one; there is no such plugin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = PackWriter(path)
        self._calls = 0
        self._append("h", Head(run_id=RunId("r000001"), seed=7, started_ns=1))

    def call(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        *,
        value: Any = None,
        error: tuple[str, str] | None = None,
        asked: Sequence[tuple[str, Any, Any]] = (),
        items: Sequence[Any] = (),
        **changes: Any,
    ) -> None:
        """Write one call, with its end.

        *asked*: hook, arguments and answer of each call back; an answer of two texts in a tuple is
        an error.
        """
        self._calls += 1
        name, blobs = self._object(arguments)
        begun: dict[str, Any] = {
            "call_id": str(self._calls),
            "plugin": "p",
            "edition": 1,
            "impl": hook,
            "hook": hook,
            "phase": "call",
            "key": ("doc",),
            "seed": b"k" * 32,
            "parent": None,
            "caller": None,
            "depth": 0,
            "level": "confined",
            "historic": False,
            "stream": False,
            "retries": 0,
            "timeout_s": 1.0,
            "input": name,
            "blobs": blobs,
            "setup": None,
            "inner_error": None,
            "inner_fault": None,
            "inner_origin": None,
        }
        self._append("c", Begun(**{**begun, **changes}))
        for each in items:
            value_name, of_item = self._object(each)
            item = Item(call_id=CallId(str(self._calls)), value=value_name, blobs=of_item)
            self._append("i", item)
        end: dict[str, Any] = {"call_id": str(self._calls)}
        if error is not None:
            end |= {"error": RecordedError(code=error[0], message=error[1]), "fault": "plugin"}
        else:
            end["value"], end["blobs"] = self._object(value)
        self._append("e", Ended(**end, questions=tuple(self._question(*each) for each in asked)))

    def _question(self, hook: str, arguments: Any, told: Any) -> Question:
        name, blobs = self._object(arguments)
        if isinstance(told, tuple):
            answer = Answer(error=RecordedError(code=told[0], message=told[1]))
        else:
            value, of_value = self._object(told)
            answer = Answer(value=value, blobs=of_value)
        return Question(hook=hook, input=Digest(name), blobs=blobs, answer=answer)

    def _object(self, value: Any) -> tuple[str, tuple[bytes, ...]]:
        data = encode(value)
        name, blobs = digest(data), blobs_of(value, data)
        self._writer.append(values={raw_name(name): data}, blobs=blobs)
        return name, tuple(blobs)

    def _append(self, kind: str, record: Any) -> None:
        self._writer.append(frame(kind, record.packed()))

    def close(self) -> Path:
        """End it in order, and return its path."""
        self._append("Z", Close(calls=self._calls))
        self._writer.close()
        return self.path
