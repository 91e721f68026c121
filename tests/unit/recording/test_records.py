"""What stands in a recording comes back as it was, and nothing else passes for it."""

from __future__ import annotations

import pytest

from nxkernel._canonical import encode
from nxkernel.recording.records import (
    Answer,
    Begun,
    Ended,
    Head,
    PluginRecord,
    Question,
    RecordedError,
    narrow,
    wide,
)

ERROR = RecordedError(code="plugin.raised", message="no")
BEGUN = Begun(
    call_id="7.1",
    plugin="p",
    edition=1,
    impl="act",
    hook="act",
    phase="teardown",
    key=("doc", 7, b"\0"),
    seed=b"k" * 32,
    parent="7",
    caller="q",
    depth=1,
    level="confined",
    historic=False,
    stream=False,
    retries=0,
    timeout_s=2.5,
    input="sha256:00",
    blobs=(b"b" * 32,),
    setup="6",
    inner_error=ERROR,
    inner_fault="plugin",
    inner_origin="q",
)
RECORDS = {
    "head": Head(run_id="r1", seed="s", started_ns=5, environment={"python": "3"}),
    "plugin": PluginRecord(
        id="p",
        edition=2,
        version="1",
        code_digest="sha256:01",
        settings_digest="sha256:02",
        level="confined",
        requires=("echo",),
    ),
    "begun": BEGUN,
    "ended": Ended(
        call_id="7.1",
        error=ERROR,
        fault="plugin",
        questions=(Question(hook="h", input="sha256:03", answer=Answer(error=ERROR)),),
    ),
}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_comes_back(name: str) -> None:
    """With its tuples, and the records inside it."""
    record = RECORDS[name]
    assert type(record).unpacked(record.packed()) == record


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_the_set_of_keys_is_closed(name: str) -> None:
    """A key more or less is another format."""
    cls = type(RECORDS[name])
    with pytest.raises(ValueError, match="its keys are"):
        cls.unpacked(encode({"other": 1}))
    with pytest.raises(ValueError, match="its keys are"):
        cls.unpacked(encode([]))


@pytest.mark.parametrize("part", [0, -(2**63), 2**63 - 1, 2**63, -(2**200), "2", b"2"], ids=repr)
def test_a_part_of_a_key_of_any_size_comes_back(part: object) -> None:
    """Keys and seeds may be larger than what crosses as an int."""
    encode(narrow(part))
    assert wide(narrow(part)) == part
