"""Mode strict with pandas and SciPy as people use them: everything works, and is the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from tests.support import zoo
from tests.support.sources import BLOCKED, PREVENTED, Source

_BODY = """
import io, numpy, pandas, scipy.cluster.vq, scipy.linalg, scipy.optimize, scipy.signal
import scipy.sparse, scipy.spatial, scipy.stats

class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def act(self, value):
        rng = self.context.numpy_rng()
        frame = pandas.DataFrame({"a": rng.normal(size=200), "b": list("xyzw") * 50})
        hours = pandas.date_range("2024-01-01", periods=9, freq="h")
        return {
            "sample": frame.sample(5, random_state=rng)["a"].tolist(),
            "group": frame.groupby("b")["a"].agg(["mean", "std"]).to_numpy().tolist(),
            "read": pandas.read_csv(io.StringIO(frame.to_csv(index=False))).shape[0],
            "merge": frame.merge(frame.groupby("b").mean(), on="b").shape[0],
            "resample": pandas.Series(range(9), index=hours).resample("3h").sum().tolist(),
            "pivot": frame.pivot_table(index="b", values="a", aggfunc="median")["a"].tolist(),
            "normal": scipy.stats.norm.rvs(size=3, random_state=rng).tolist(),
            "bootstrap": float(scipy.stats.bootstrap((frame["a"].to_numpy(),), numpy.mean,
                               n_resamples=50, random_state=rng).standard_error),
            "minimum": scipy.optimize.minimize(lambda x: ((x - 3) ** 2).sum(), [0.0]).x.tolist(),
            "evolution": scipy.optimize.differential_evolution(
                lambda x: ((x - 1) ** 2).sum(), [(-2, 2)] * 2, seed=3, maxiter=10).x.tolist(),
            "values": scipy.linalg.eigvalsh(numpy.eye(4) * 2).tolist(),
            "median": scipy.signal.medfilt(numpy.arange(9.0)).tolist(),
            "sparse": float(scipy.sparse.random(20, 20, 0.2, random_state=rng).sum()),
            "means": sorted(scipy.cluster.vq.kmeans(rng.normal(size=(40, 2)), 2,
                            seed=rng)[0][:, 0].tolist()),
            "near": scipy.spatial.cKDTree(rng.normal(size=(30, 2))).query([0, 0])[0],
            "test": float(scipy.stats.kstest(frame["a"], "norm").pvalue),
        }
"""
_ASKS = {
    "pandas": ("import pandas", "pandas.DataFrame({'a': range(9)}).sample(2)['a'].tolist()"),
    "scipy": ("import scipy.stats", "float(scipy.stats.norm.rvs())"),
}


def run_once(place: Path, folder: Path, *plugins: str) -> tuple[dict[str, nx.Outcome], list[Any]]:
    """Ask the plugins in *folder* in mode strict, clocks too; return outcomes and findings."""
    run = nx.Run.create(place, seed=7)
    guard = nx.Determinism(guard="strict", clocks="strict")
    with nx.Kernel(
        "zoo",
        specs=[zoo.Hooks],
        run=run,
        plugins=nx.discover(folder),
        middleware=[nx.Audit(run.audit_log), guard],
    ) as kernel:
        result = kernel.options(timeout=zoo.PATIENCE_S).call("act", value=1)
    told = [each for event in zoo.events(run, "determinism.drawn") for each in event.data["found"]]
    return {outcome.plugin: outcome for outcome in result}, told


@pytest.mark.timeout(300)
def test_tables_and_statistics_work_and_are_the_same_again(tmp_path: Path) -> None:
    """What the two libraries draw at import is on record; nothing of it is drawn in a call."""
    limits = "[limits]\nmemory_mb = 2048\n"
    source = Source(name="tables", fate=PREVENTED, body=_BODY, manifest=limits)
    manifest = source.write(tmp_path / "plugins") / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('"plugin"', '"plugin:Plugin"'))
    values = []
    for name in ("one", "other"):
        outcomes, told = run_once(tmp_path / name, tmp_path / "plugins")
        assert outcomes[source.id].ok, outcomes[source.id].error
        values.append(outcomes[source.id].value)
        assert {each["when"] for each in told} == {"import"}
        assert any("scipy.stats" in each["site"] for each in told)
    assert values[0] == values[1]
    assert values[0]["merge"] == values[0]["read"] == 200


def test_their_own_generators_are_refused(tmp_path: Path) -> None:
    """Without a generator both draw from NumPy's global one: the line is the plugin's."""
    limits = "[limits]\nmemory_mb = 2048\n"
    for name, (imports, drawn) in _ASKS.items():
        body = f"{imports}\n\n@hookimpl\ndef act(value):\n    return {drawn}  # here\n"
        source = Source(name=name, fate=BLOCKED, body=body, manifest=limits)
        source.write(tmp_path / "plugins")
    outcomes, _ = run_once(tmp_path / "data", tmp_path / "plugins")
    for name in _ASKS:
        error = outcomes[f"wild.{name}"].error
        assert error is not None, name
        assert error.code == "determinism.blocked", error.message
        assert error.message.startswith("plugin.py:8, through ")
        assert "context.numpy_rng()" in error.message
