"""Reads the shipped screenshots with the OCR plugin and writes `recorded.json` again."""

from __future__ import annotations

import json
import struct

from nxkernel.storage import blob_digest
from tests.unit.examples.documents import RECORDED
from tests.unit.examples.loading import SCREENMEM, load


def main() -> None:
    plugin = load("ocr_rapid").Plugin()
    lines = []
    for path in sorted((SCREENMEM / "screens").glob("*.png")):
        png = path.read_bytes()
        width, height = struct.unpack(">II", png[16:24])
        found = plugin.read_tokens({"name": path.name, "image": png})
        frame = {
            "digest": blob_digest(png),
            "width": width,
            "height": height,
            "tokens": [[token["text"], *token["bbox"]] for token in found],
        }
        text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
        lines.append(f"  {json.dumps(path.name)}: {text}")
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
