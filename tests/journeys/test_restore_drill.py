"""A city is lost in the middle of its day and restored into empty servers: nothing is lost, nothing counts twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from shared.cli.backup import tail
from shared.devtools import drill
from shared.devtools.demo.reconcile import Line
from shared.provision.topology import Cluster
from tests.full import full_only

REPORTS, RATE = 4000, 200.0
pytestmark = pytest.mark.timeout(1800)


@full_only
def test_a_city_comes_back(tmp_path: Path) -> None:
    outcome = drill.drill(tmp_path, REPORTS, RATE, Console())
    outcome.show(Console())
    assert outcome.good, [line for line in outcome.lines if not line.holds]
    assert len(outcome.lines) > 12
    assert 0 < outcome.kept < outcome.accepted_before, "nothing came after the backup: this run proves nothing"
    assert outcome.rows > REPORTS
    assert {"backup", "restore", "empty servers, topics, schemas, services"} < outcome.seconds.keys()


@full_only
def test_a_restore_that_leaves_out_what_was_unread_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that left an outbox and had entered no inbox are in the tail alone."""

    def forget(cluster: Cluster, file: Path, on_done: Callable[[], None]) -> int:
        return 0

    monkeypatch.setattr(tail, "publish", forget)
    monkeypatch.setattr(drill, "SETTLE_S", 60.0)
    outcome = drill.drill(tmp_path, REPORTS, RATE * 4, Console())
    assert outcome.unread > 0, "everything had been read: this run proves nothing"
    assert not outcome.good


def test_one_wrong_sum_or_none_at_all_is_no_success() -> None:
    right, wrong = Line("a", 1, 1), Line("b", 1, 2)
    assert drill.Outcome(lines=[right]).good
    assert not drill.Outcome(lines=[right, wrong]).good
    assert not drill.Outcome().good
