"""The guard's parts by themselves: stand-ins, the watch, what is guarded later."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import DeterminismError
from nxkernel.worker.chance import late, tensors
from nxkernel.worker.chance.guarded import Entropy, Guarded, Seeding
from nxkernel.worker.chance.sources import CHANCE, CLOCK, Source
from nxkernel.worker.chance.watch import PER_CALL, Watch

HERE = Path(__file__)
SOURCE = Source(CHANCE, "math.sqrt()", "context.rng.random()")


def watch(mode: str = "warn", **modes: str) -> Watch:
    """A watch over this folder as a plugin's, whose import is over."""
    made = Watch({CHANCE: mode, **modes}, code_dir=str(HERE.parent))  # type: ignore[dict-item]
    made.loading = False
    return made


def sqrt(over: Watch, source: Source = SOURCE) -> Guarded:
    return Guarded(math.sqrt, over, source, "math", "sqrt")


def here(offset: int = 0) -> str:
    """This file and the line of the caller, as a site has them."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{HERE.name}:{frame.f_back.f_lineno + offset}"


def test_a_stand_in_looks_like_the_function() -> None:
    """Name, module, documentation, signature; in a class it stays a function."""
    stand_in = sqrt(watch("off"))
    assert (stand_in.__name__, stand_in.__module__) == ("sqrt", "math")
    assert stand_in.__doc__ == math.sqrt.__doc__
    assert inspect.signature(stand_in) == inspect.signature(math.sqrt)
    assert repr(stand_in) == repr(math.sqrt)
    assert type("Keeps", (), {"root": stand_in})().root(4) == 2


def test_a_stand_in_is_pickled_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back is what the module has by then; a copy is the same object."""
    stand_in = sqrt(watch("off"))
    monkeypatch.setattr(math, "sqrt", stand_in)
    assert pickle.loads(pickle.dumps(stand_in)) is stand_in
    assert copy.deepcopy(stand_in) is stand_in


def test_a_place_is_told_once() -> None:
    """However often the line is run; another line is another place."""
    over = watch()
    root = sqrt(over)
    for _ in range(3):
        assert root(4) == 2
    first = here(-1)
    assert root(9) == 3
    second = here(-1)
    found = [finding.told() for finding in over.news()]
    assert found == [
        ("math.sqrt()", first, "call", False),
        ("math.sqrt()", second, "call", False),
    ]
    assert over.news() == []


def test_strict_refuses_each_time_and_tells_once() -> None:
    """The message has the line, the function and what to write."""
    over = watch("strict")
    root = sqrt(over)
    for _ in range(2):
        with pytest.raises(DeterminismError) as caught:
            root(4)
    assert caught.value.message == (
        f"{here(-2)}: math.sqrt() follows from no seed, so that no two runs would be the same; "
        "write context.rng.random()"
    )
    assert [finding.blocked for finding in over.news()] == [True]


def test_a_draw_at_import_is_allowed_and_told() -> None:
    """In mode strict what it gets follows from the seed: the same bytes for everybody."""
    drawn = []
    for _ in range(2):
        over = watch("strict")
        over.loading = True
        take = Entropy(lambda size: b"?" * size, over, SOURCE, "os", "urandom")
        drawn.append(take(100) + take(5))
        assert {(each.when, each.blocked) for each in over.news()} == {("import", False)}
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 105
    assert len(set(drawn[0])) > 50


def test_a_generator_that_was_seeded_may_be_used() -> None:
    """Until the call ends; a seed that is missing takes the leave back."""
    over = watch("strict")
    source = Source(CHANCE, "random.random()", "context.rng.random()", "random")
    draw = sqrt(over, source)
    seed = Seeding(lambda a=None: None, over, source, "random", "seed", argument="a")
    seed(5)
    assert draw(4) == 2
    with pytest.raises(DeterminismError):
        seed()
    with pytest.raises(DeterminismError):
        draw(4)


def test_clocks_are_the_business_of_who_asks_directly() -> None:
    """The standard library may: it waits, logs, and gives nothing of it away."""
    over = watch("off", clock="strict")
    ask = sqrt(over, Source(CLOCK, "time.time()", "context.now()"))
    with pytest.raises(DeterminismError):
        ask(4)
    library = types.ModuleType("threading")
    exec("def wait(ask):\n    return ask(4)\n", library.__dict__)
    assert library.wait(ask) == 2


def test_what_is_told_is_bounded() -> None:
    """A plugin that draws on a thousand lines fills no memory, and no frame."""
    over = watch()
    root = sqrt(over)
    code = compile("\n".join(["root(4)"] * 1000), str(HERE.parent / "generated.py"), "exec")
    exec(code, {"root": root, "__name__": "generated"})
    told = 0
    while news := over.news():
        assert len(news) <= PER_CALL
        told += len(news)
    assert told == 256


class Tensor:
    """As much of ``torch.Tensor`` as is guarded."""

    def normal_(self, *, generator: Any = None) -> str:
        return "normal"


@pytest.fixture
def torch() -> Any:
    """As much of Torch as is guarded: the real one is larger than all the rest of this."""
    module: Any = types.ModuleType("torch")
    module.Tensor = type("Tensor", (Tensor,), {"normal_": Tensor.normal_})
    module.rand = lambda *size, generator=None: "rand"
    module.manual_seed = lambda seed: None
    module.seed = lambda: 1
    return module


def test_torch_is_guarded_unless_it_has_a_generator_or_a_seed(torch: Any) -> None:
    """Functions and methods that draw from the global generator."""
    over = watch("strict")
    tensors.guard(over)(torch)
    for draw in (lambda: torch.rand(2), lambda: torch.Tensor().normal_(), torch.seed):
        with pytest.raises(DeterminismError, match=r"context\.torch_generator|manual_seed"):
            draw()
    assert torch.rand(2, generator=object()) == "rand"
    assert torch.Tensor().normal_(generator=object()) == "normal"
    torch.manual_seed(3)
    assert torch.rand(2) == "rand"


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that nobody has imported yet."""
    (tmp_path / "imported_later.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    yield "imported_later"
    sys.meta_path[:] = before
    sys.modules.pop("imported_later", None)


def test_a_module_is_guarded_once_it_is_imported(later: str) -> None:
    """Before anybody has it, and with nothing left on it that tells of the guard."""
    seen = []
    late.install({later: lambda module: seen.append(module.VALUE), "sys": seen.append})
    assert seen == [sys]
    module = __import__(later)
    assert seen == [sys, 1]
    assert type(module.__loader__).__module__.startswith("_frozen_importlib")
    assert module.__spec__.loader is module.__loader__
    assert inspect.getsource(module) == "VALUE = 1\n"


def test_a_watch_becomes_another() -> None:
    """Whoever told the one tells the other, and hears of its seeds; what was seen is seen once."""
    nobody, somebody = Watch({}), watch()
    stand_in = sqrt(nobody)
    stand_in(4)
    nobody.become(somebody)
    stand_in(4)
    assert [finding.site for finding in somebody.news()] == [here(-1)]
    somebody.seeded = {"random"}
    assert nobody.seeded == {"random"}
