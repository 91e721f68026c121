"""Reads the words of a screenshot with RapidOCR; its wheel carries the models."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from ocr_words import Line, tokens_of

import nxkernel as nx

hookimpl = nx.HookimplMarker("screenmem")

#: One line at a time: a line's text then depends on that line alone, and wide lines do not make
#: the others pay for their padding. One or two threads give the same bytes.
SETTINGS = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 2,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Rec.rec_batch_num": 1,
    "Global.log_level": "error",
}


class Plugin:
    """Loads the models at the first frame, not when the worker starts."""

    def __init__(self) -> None:
        self._engine: Any = None

    @hookimpl
    def read_tokens(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the words of ``frame["image"]``, a PNG, in reading order."""
        image = cv2.imdecode(np.frombuffer(frame["image"], np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{frame['name']} is no image that OpenCV can read")
        return tokens_of(self._lines(image), image)

    def _lines(self, image: np.ndarray) -> list[Line]:
        # The classifier for text that stands on its head is left out: on screenshots it is wrong
        # more often than it is needed.
        found = self._load()(
            image, use_cls=False, return_word_box=True, return_single_char_box=True
        )
        if found.boxes is None or found.word_results is None:
            return []
        return [
            Line.read(quad, text, score, glyphs)
            for quad, text, score, glyphs in zip(
                found.boxes, found.txts, found.scores, found.word_results, strict=True
            )
        ]

    def _load(self) -> Any:
        if self._engine is None:
            from rapidocr import RapidOCR

            self._engine = RapidOCR(params=SETTINGS)
        return self._engine
