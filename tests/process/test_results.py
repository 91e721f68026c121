"""Values that cannot cross are refused at the border, with the place and the type."""

from __future__ import annotations

import pytest

from tests.support.zoo import Zoo

ANIMALS = ("returns.odd",)


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("object", "result.frame[1]", "object"),
        ("set", "result.frame", "set"),
        ("nan", "result[1]", "float"),
        ("infinity", "result", "float"),
        ("big int", "result[0]", "int"),
        ("surrogate", "result.name", "str"),
        ("int key", "result.frame", "int"),
        ("function", "result", "function"),
        ("generator", "result", "generator"),
        ("subclass", "result", "plugin.Sly"),
        ("bytearray", "result", "bytearray"),
    ],
)
def test_wrong_value_names_its_path(zoo: Zoo, name: str, path: str, kind: str) -> None:
    """The outcome says where in the result the first wrong part is, and of which type."""
    outcome = zoo.act("returns.odd", name)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert outcome.error.message.startswith(path + ":")
    assert outcome.error.details == {"path": path, "type": kind}
    assert zoo.answers("returns.odd")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cycle", "contains itself"),
        ("deep", "nested deeper"),
        ("many", "more than 1048576 values"),
    ],
)
def test_endless_value_is_refused(zoo: Zoo, name: str, reason: str) -> None:
    """A cycle, 100,000 levels, or a million values end neither the worker nor the host."""
    outcome = zoo.act("returns.odd", name)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert reason in outcome.error.message
    assert zoo.answers("returns.odd")
    assert zoo.kernel.plugins["returns.odd"].starts == 1


def test_tuple_arrives_as_a_list(zoo: Zoo) -> None:
    """Without an annotation that says tuple, the value is the list that crossed."""
    assert zoo.act("returns.odd", "tuple").value == [1, [2, "three"]]
