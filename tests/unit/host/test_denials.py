"""A worker's account of a refusal becomes the line that its manifest lacks."""

from __future__ import annotations

import pytest

from nxkernel._wire import Denied
from nxkernel.host.denials import Advice, Advisor
from nxkernel.settings import Permissions
from nxkernel.types import Outcome
from tests.support.calls import a_call

TEMPLATES = {"media_dir": "/d/media", "run_dir": "/d/runs/1/p", "metadata_db_path": "/d/s/r.db"}


def advisor(level: str = "confined", **requested: tuple[str, ...]) -> Advisor:
    return Advisor(
        plugin="ocr.rapid",
        level=level,
        templates=TEMPLATES,
        requested=Permissions(**requested),
        closed=("/usr/lib", "/d/audit"),
    )


def advise(kind: str, target: str, who: Advisor | None = None) -> Advice:
    (advice,) = (who or advisor()).advise(Denied(within=1, raised=[(kind, target)], seen=[]))
    return advice


@pytest.mark.parametrize(
    ("kind", "target", "line"),
    [
        ("read", "/d/media/a/b", 'read = ["{media_dir}/a/b"]'),
        ("read", "/d/mediaeval", 'read = ["/d/mediaeval"]'),
        ("read", "/d/s/r.db-wal", 'read = ["{metadata_db_path}"]'),
        ("read", '/d/a"b', 'read = ["/d/a\\"b"]'),
        ("write", "/srv/x", 'write = ["/srv/x"]'),
        ("write", "/usr/lib/x", None),
        ("write", "/d/audit/audit.db", None),
        ("read", "/", None),
        ("read", "/sys/kernel", None),
        ("connect", "::1:80", 'network = ["tcp:80"]'),
        ("listen", "0.0.0.0:8080", 'network = ["listen:8080"]'),
        ("listen", "127.0.0.1:0", 'network = ["listen:PORT"]'),
        ("socket", "tcp", 'network = ["tcp:PORT"]'),
        ("socket", "2/2", None),
        ("unix", "/run/x", None),
        ("exec", "/opt/x", 'exec = ["/opt/x"]'),
        ("signal", "1", None),
    ],
)
def test_line_for_the_manifest(kind: str, target: str, line: str | None) -> None:
    """With the template where there is one; None where nothing grants it."""
    advice = advise(kind, target)
    assert advice.line == line
    assert (line or "nobody granted") not in ("", advice.then)


def test_line_keeps_what_is_asked_for_already() -> None:
    """The line can be put in the place of the one that is there."""
    advice = advise("read", "/etc/x", advisor(read=("{media_dir}",)))
    assert advice.line == 'read = ["{media_dir}", "/etc/x"]'


def test_account_is_not_trusted() -> None:
    """Unknown kinds, floods and control characters of a worker do not come through."""
    account = Denied(within=1, raised=[("nonsense", "x")], seen=[("read", "/a\x1b[31m")] * 1000)
    advice = advisor().advise(account)
    assert len(advice) < 20
    assert {each.target for each in advice} == {"/a�[31m"}
    long = Denied(within=1, raised=[("read", "/" + "x" * 10**6)], seen=[])
    assert len(advisor().advise(long)[0].text()) < 3000


def test_isolated_tells_absent_from_closed() -> None:
    """Inside, both are ENOENT; the host knows which files exist."""
    there, absent = ("read", __file__), ("read", "/no/such/file")
    account = Denied(within=1, raised=[there, absent], seen=[])
    assert [a.target for a in advisor("isolated").advise(account)] == [__file__]


def test_outcome_is_explained() -> None:
    """The message ends with the grant that lacks; places have their templates."""
    outcome = Outcome.failed(a_call(), "plugin.raised", "no: '/d/media/x'", "plugin")
    advice = advisor().advise(Denied(within=1, raised=[("read", "/d/media/x")], seen=[]))
    explained = advisor().explain(outcome, advice).error
    assert explained is not None
    assert explained.message.startswith(
        "no: '{media_dir}/x'; the sandbox refused reading {media_dir}/x, which nobody granted: "
    )
    assert explained.details["denied"] == [advice[0].fact()]
    assert advisor().explain(outcome, []) is outcome
