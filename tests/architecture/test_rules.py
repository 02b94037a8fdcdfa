"""Alerts and dashboards hold what they promise, and the check of them bites."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared.devtools import rules_check
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.prometheus import alert_names
from tests.architecture.conftest import write
from tests.promises.support.causes import unseen

ALERTS = "ops/prometheus/rules/alerts.yml"
SERVERS = "ops/prometheus/rules/servers.yml"
TESTS = "ops/prometheus/tests/alerts.yml"
CITY = "ops/grafana/dashboards/city.json"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Rules, tests, dashboards and runbooks in a place where they may be spoilt; the code stays where it is."""
    for folder in ("ops", "docs/runbooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "services").symlink_to(ROOT / "services")
    return tmp_path


def test_rules_and_dashboards_are_right() -> None:
    assert rules_check.faults(ROOT, promtool=False) == []


def test_the_healthy_day_asks_for_every_alert() -> None:
    asked = yaml.safe_load((ROOT / "ops/prometheus/tests/healthy.yml").read_text())["tests"][0]["alert_rule_test"]
    assert {one["alertname"] for one in asked} == set(alert_names(ROOT)) == set(rules_check.read(ROOT).alerts)


def test_every_alert_is_seen_firing_by_its_cause() -> None:
    """tests/alerts/test_alerts.py raises them at full size; here only its table is compared with the rules."""
    assert unseen() == []


def test_an_alert_without_a_cause_and_a_cause_without_its_alert_are_found(copied: Path) -> None:
    untested(copied)
    replace(copied, ALERTS, "alert: OutboxStuck", "alert: OutboxGone")
    assert unseen(copied) == [
        "no cause raises NobodyTestsMe page",
        "no cause raises OutboxGone page",
        "no rule defines OutboxStuck page routing",
    ]


def test_one_of_an_alerts_two_severities_without_a_cause_is_found(copied: Path) -> None:
    replace(copied, ALERTS, "alert: RecordsRefused", "alert: OutboxStuck")
    assert unseen(copied) == ["no cause raises OutboxStuck ticket", "no rule defines RecordsRefused ticket intake"]


def replace(root: Path, file: str, old: str, new: str) -> None:
    """Spoil a file; what is to be replaced must be there."""
    text = (root / file).read_text(encoding="utf-8")
    assert old in text
    (root / file).write_text(text.replace(old, new), encoding="utf-8")


def untested(root: Path) -> None:
    rule = "      - alert: NobodyTestsMe\n        expr: up == 0\n        labels: {severity: page}\n"
    notes = "        annotations: {summary: x, runbook_url: docs/runbooks/NobodyTestsMe.md}\n"
    write(root / ALERTS, rule + notes)
    shutil.copy(root / "docs/runbooks/ServiceDown.md", root / "docs/runbooks/NobodyTestsMe.md")


def spoil_dashboard(root: Path, expression: str) -> None:
    dashboard = json.loads((root / CITY).read_text(encoding="utf-8"))
    next(panel for panel in dashboard["panels"] if panel.get("targets"))["targets"][0]["expr"] = expression
    (root / CITY).write_text(json.dumps(dashboard), encoding="utf-8")


def unrunnable(root: Path) -> None:
    replace(root, "docs/runbooks/ServiceDown.md", "bin/beegrid doctor", "bin/beegrid surgeon")


VIOLATIONS: dict[str, tuple[Callable[[Path], None], str]] = {
    "an alert without a test": (untested, "NobodyTestsMe has no test that sees it fire"),
    "an alert that is never seen silent": (untested, "NobodyTestsMe has no test that sees it silent"),
    "a test of an alert that is gone": (
        lambda root: replace(root, TESTS, "alertname: OutboxStuck", "alertname: OutboxGone"),
        "there is no alert OutboxGone",
    ),
    "an alert without a runbook": (
        lambda root: (root / "docs/runbooks/OutboxStuck.md").unlink(),
        "OutboxStuck.md is missing",
    ),
    "a runbook that says nothing to do": (
        lambda root: replace(root, "docs/runbooks/OutboxStuck.md", "## 处理 / Do", "## 其他 / Else"),
        "lacks «## 处理 / Do»",
    ),
    "a runbook left over": (
        lambda root: write(root / "docs/runbooks/OldTimes.md", "# OldTimes\n"),
        "OldTimes.md: there is no such alert",
    ),
    "a command that isn't there": (unrunnable, "`beegrid surgeon`, which there is not"),
    "a runbook's metric that isn't there": (
        lambda root: replace(
            root, "docs/runbooks/OutboxStuck.md", "show_metric beegrid_outbox", "show_metric beegrid_x"
        ),
        "shows beegrid_x, which nothing makes",
    ),
    "a metric that no longer exists": (
        lambda root: replace(root, ALERTS, "beegrid_outbox_oldest_age_seconds", "beegrid_outbox_age_seconds"),
        "no code makes the metric beegrid_outbox_age_seconds",
    ),
    "a label that the metric hasn't": (
        lambda root: replace(root, ALERTS, 'level="emergency",state="overdue"', 'severity="emergency",state="overdue"'),
        "beegrid_cases_deadlines has no label severity",
    ),
    "a bucket that the histogram hasn't": (
        lambda root: replace(root, "ops/prometheus/rules/slo.yml", 'le="5.0"', 'le="7.0"'),
        "has no bucket 7.0",
    ),
    "another's metric that it doesn't have": (
        lambda root: replace(root, SERVERS, "cnpg_pg_replication_lag", "cnpg_pg_replication_delay"),
        "no code makes the metric cnpg_pg_replication_delay, and ops/prometheus/exporters.yml doesn't have it",
    ),
    "another's metric with a label that it hasn't": (
        lambda root: replace(root, SERVERS, ',value="ready"', ',state="ready"'),
        "cnpg_collector_pg_wal_archive_status has no label state",
    ),
    "another team's Kafka": (
        lambda root: replace(root, SERVERS, 'offlinepartitionscount{namespace="beegrid"}', "offlinepartitionscount"),
        "offlinepartitionscount is asked of every namespace",
    ),
    "another namespace": (
        lambda root: replace(root, SERVERS, 'resource_namespace="beegrid"', 'resource_namespace="kafka"'),
        "strimzi_resource_state is asked of every namespace",
    ),
    "another's metric that nobody asks for": (
        lambda root: write(root / rules_check.EXPORTERS, "- {name: x, see: y, labels: [], metrics: {x_total: []}}\n"),
        "no rule asks for x_total",
    ),
    "an alert without a severity": (
        lambda root: replace(root, ALERTS, "labels: {severity: page}", "labels: {severity: loud}"),
        "has no severity of page, ticket",
    ),
    "a dashboard's expression that doesn't parse": (
        lambda root: spoil_dashboard(root, "sum(rate(beegrid_intake_reports_total[5m])"),
        "city.json: 上报 / reports: doesn't parse",
    ),
    "a dashboard's metric that isn't there": (
        lambda root: spoil_dashboard(root, "sum(rate(beegrid_intake_rumours_total[5m]))"),
        "no code makes the metric beegrid_intake_rumours_total",
    ),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_is_found(copied: Path, violation: str) -> None:
    spoil, words = VIOLATIONS[violation]
    spoil(copied)
    found = rules_check.faults(copied, promtool=False)
    assert any(words in fault for fault in found), found


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool isn't installed (Debian package prometheus)")
def test_promtool_finds_an_alert_that_never_fires(copied: Path) -> None:
    replace(copied, ALERTS, "beegrid_outbox_rows) > 100000", "beegrid_outbox_rows) > 100000000")
    for others in (copied / rules_check.TESTS).glob("*.yml"):
        if others.name != "alerts.yml":  # they take longer, and know nothing of that alert
            others.unlink()
    assert any("OutboxFilling" in fault for fault in rules_check.check_promtool(copied))


def test_a_machine_without_promtool_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CI", raising=False)
    assert list(rules_check.check_promtool(ROOT)) == []
    assert "isn't installed" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    assert "isn't installed" in "".join(rules_check.check_promtool(ROOT))


def test_dashboards_ask_the_provisioned_source() -> None:
    source = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][
        0
    ]
    for file in (ROOT / "ops/grafana/dashboards").glob("*.json"):
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        asked = {panel["datasource"]["uid"] for panel in dashboard["panels"] if panel["type"] != "row"}
        assert asked == {source["uid"]}, file.name
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers), file.name
