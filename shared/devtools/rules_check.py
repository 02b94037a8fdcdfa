"""`python -m shared.devtools.rules_check`: alert rules and dashboards say what the code says.

- every expression parses; every metric in it is made by the code, with these labels and bucket borders, recorded by a
  rule, or written down in ops/prometheus/exporters.yml, for what others expose; of theirs our namespace's alone;
- every alert has a severity, a test that sees it fire, a test that sees it silent, and a runbook with its three parts,
  whose `beegrid` commands, metrics and links exist;
- no runbook and no test is left over from an alert that is gone; runbooks for what no alert says are named here;
- promtool agrees with rules and tests. Where it isn't installed this is said, and fails where CI is set.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser
import typer
import yaml
from prometheus_client import Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from shared.cli import main as cli
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.metrics_doc import metrics_of
from shared.devtools.gen.modules import service_module
from shared.devtools.kube.plan import NAMESPACE
from shared.kit import metrics as kit_metrics
from shared.provision.services import service_names

RULES = "ops/prometheus/rules"
TESTS = "ops/prometheus/tests"
DASHBOARDS = "ops/grafana/dashboards"
RUNBOOKS = "docs/runbooks"
EXPORTERS = "ops/prometheus/exporters.yml"
BY_HAND = frozenset({"StatesLost"})
"""Runbooks of what no alert says: a person finds it."""
PARTS = ("## 含义 / Meaning", "## 确认 / Confirm", "## 处理 / Do")
SEVERITIES = ("page", "ticket")
SCRAPED = {"job", "instance"}
# Prometheus makes these itself.
BUILT_IN = {"up": SCRAPED, "ALERTS": {"alertname", "alertstate", "severity", *SCRAPED}}
PROMTOOL_S_MAX = 240
# By which labels others' series say whose they are; where a metric has one of them, a rule has to ask for ours.
WHOSE = ("namespace", "resource_namespace")


@dataclass(frozen=True)
class Known:
    """One series name: its labels, and a histogram's bucket borders as they are exposed."""

    labels: frozenset[str]
    borders: frozenset[str] = frozenset()
    foreign: bool = False


@dataclass
class House:
    """What is on disk below a root, with where it stands."""

    rules: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    dashboards: list[tuple[str, str]] = field(default_factory=list)

    @property
    def alerts(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """Alert rules by name."""
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for where, rule in self.rules:
            if "alert" in rule:
                found.setdefault(rule["alert"], []).append((where, rule))
        return found


def read(root: Path) -> House:
    """Rules, tests and the expressions of dashboards."""
    house = House()
    for file in sorted((root / RULES).glob("*.yml")):
        for group in yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["groups"]:
            house.rules += [(f"{RULES}/{file.name}", rule) for rule in group["rules"]]
    for file in sorted((root / TESTS).glob("*.yml")):
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for test in content["tests"]:
            house.tests += [(f"{TESTS}/{file.name}", one) for one in test.get("alert_rule_test", ())]
    for file in sorted((root / DASHBOARDS).glob("*.json")):
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        for panel in dashboard.get("panels", ()):
            place = f"{DASHBOARDS}/{file.name}: {panel.get('title')}"
            house.dashboards += [(place, target["expr"]) for target in panel.get("targets", ())]
    return house


def made_by_code(root: Path) -> dict[str, Known]:
    """Every series that the suite's processes expose, from the metric objects themselves."""
    modules = [kit_metrics, *(service_module(name, "metrics") for name in service_names(root))]
    found: dict[str, Known] = {}
    for module in modules:
        for metric in metrics_of(module) if module is not None else []:
            found |= dict(_series(metric))
    return found


def exposed_by_others(root: Path) -> dict[str, Known]:
    """The series of EXPORTERS: of Kafka, Postgres, operators and volumes, in Kubernetes."""
    listed = yaml.load((root / EXPORTERS).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["exporters"]
    return {
        name: Known(frozenset({*SCRAPED, *exporter["labels"], *own}), foreign=True)
        for exporter in listed
        for name, own in exporter["metrics"].items()
    }


def _series(metric: MetricWrapperBase) -> Iterator[tuple[str, Known]]:
    labels = frozenset(metric._labelnames) | SCRAPED  # the library has no public accessor
    name = next(iter(metric.describe())).name
    if isinstance(metric, Histogram):
        borders = frozenset(_border(upper) for upper in metric._upper_bounds)
        yield f"{name}_bucket", Known(labels | {"le"}, borders)
        yield f"{name}_count", Known(labels)
        yield f"{name}_sum", Known(labels)
    else:
        yield name if isinstance(metric, Gauge) else f"{name}_total", Known(labels)


def _border(upper: float) -> str:
    return "+Inf" if upper == float("inf") else str(float(upper))


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """Every selector of an expression.

    Raises:
        ValueError: it doesn't parse.
    """
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def check_expressions(house: House, known: dict[str, Known]) -> Iterator[str]:
    """Unparsable expressions; metrics, labels and bucket borders that nothing makes."""
    recorded = {rule["record"] for _, rule in house.rules if "record" in rule}
    places = [(f"{where}: {rule.get('alert') or rule.get('record')}", rule["expr"]) for where, rule in house.rules]
    for place, expression in [*places, *house.dashboards]:
        try:
            chosen = selectors(expression)
        except ValueError as error:
            yield f"{place}: doesn't parse: {str(error).splitlines()[0]}"
            continue
        for selector in chosen:
            yield from (f"{place}: {fault}" for fault in _faults(selector, recorded, known))


def _faults(selector: promql_parser.VectorSelector, recorded: set[str], known: dict[str, Known]) -> Iterator[str]:
    name = selector.name or ""
    if name in recorded:
        return
    if name in BUILT_IN:
        series = Known(frozenset(BUILT_IN[name]))
    elif name in known:
        series = known[name]
    else:
        yield f"no code makes the metric {name}, and {EXPORTERS} doesn't have it"
        return
    for matcher in selector.matchers.matchers:
        if matcher.name not in series.labels:
            yield f"{name} has no label {matcher.name}"
        elif matcher.name == "le" and matcher.value not in series.borders:
            yield f"{name} has no bucket {matcher.value}"
    asked = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    for label in WHOSE if series.foreign else ():
        if label in series.labels and asked.get(label) != NAMESPACE:
            yield f'{name} is asked of every namespace: it needs {label}="{NAMESPACE}"'


def check_exporters(house: House, foreign: dict[str, Known]) -> Iterator[str]:
    """What is written down of others and no rule asks for."""
    asked: set[str] = set()
    for _, rule in house.rules:
        try:
            asked |= {selector.name or "" for selector in selectors(rule["expr"])}
        except ValueError:  # check_expressions names it
            continue
    yield from (f"{EXPORTERS}: no rule asks for {name}" for name in sorted(foreign.keys() - asked))


def check_alerts(root: Path, house: House, known: dict[str, Known]) -> Iterator[str]:
    """Alerts without test, severity or runbook, and what is left over."""
    alerts = house.alerts
    fired = {test["alertname"] for _, test in house.tests if test.get("exp_alerts")}
    silent = {test["alertname"] for _, test in house.tests if not test.get("exp_alerts")}
    for name, rules in sorted(alerts.items()):
        where = rules[0][0]
        if name not in fired:
            yield f"{where}: {name} has no test that sees it fire"
        if name not in silent:
            yield f"{where}: {name} has no test that sees it silent"
        yield from (f"{where}: {name}: {fault}" for fault in _runbook_faults(root / RUNBOOKS / f"{name}.md", known))
        for _, rule in rules:
            if rule.get("labels", {}).get("severity") not in SEVERITIES:
                yield f"{where}: {name} has no severity of {', '.join(SEVERITIES)}"
            if rule.get("annotations", {}).get("runbook_url") != f"{RUNBOOKS}/{name}.md":
                yield f"{where}: {name} doesn't name its runbook"
    for where, test in house.tests:
        if test["alertname"] not in alerts:
            yield f"{where}: there is no alert {test['alertname']}"
    for name in sorted(BY_HAND - alerts.keys()):
        yield from (f"{name}: {fault}" for fault in _runbook_faults(root / RUNBOOKS / f"{name}.md", known))
    for file in sorted((root / RUNBOOKS).glob("*.md")):
        if file.stem not in alerts and file.stem not in {"README", *BY_HAND}:
            yield f"{RUNBOOKS}/{file.name}: there is no such alert"


def _runbook_faults(file: Path, known: dict[str, Known]) -> Iterator[str]:
    if not file.is_file():
        yield f"{RUNBOOKS}/{file.name} is missing"
        return
    text = file.read_text(encoding="utf-8")
    yield from (f"its runbook lacks «{part}»" for part in PARTS if part not in text)
    commands = [line for line in text.splitlines() if line.startswith("    ")]
    if not commands:
        yield "its runbook has no command"
    for part in re.findall(r"show_metric ((?:beegrid_\w+ ?)+)", "\n".join(commands)):
        yield from (f"its runbook shows {name}, which nothing makes" for name in part.split() if not _made(name, known))
    for words in re.findall(r"bin/beegrid ([a-z][a-z ]*)", "\n".join(commands)):
        if not _understood(words.split()):
            yield f"its runbook says `beegrid {words.strip()}`, which there is not"
    for target in re.findall(r"\]\((\w+\.md)\)", text):
        if not (file.parent / target).is_file():
            yield f"its runbook points to {target}, which isn't there"


def _made(part: str, known: dict[str, Known]) -> bool:
    return any(part in name for name in known)


def _understood(words: Sequence[str]) -> bool:
    """Whether `beegrid` has this command; words after a command are its arguments."""
    command: Any = typer.main.get_command(cli.app)
    for word in words:
        if not hasattr(command, "commands"):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return not hasattr(command, "commands") or command.invoke_without_command


def check_promtool(root: Path) -> Iterator[str]:
    """What promtool says against rules and tests."""
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI"):
            yield "promtool isn't installed (Debian package prometheus)"
        else:
            print("skipped: promtool isn't installed (Debian package prometheus)", file=sys.stderr)
        return
    for words, pattern in ((["check", "rules"], f"{RULES}/*.yml"), (["test", "rules"], f"{TESTS}/*.yml")):
        files = [str(path) for path in sorted(root.glob(pattern))]
        done = subprocess.run(
            [promtool, *words, *files], capture_output=True, text=True, check=False, timeout=PROMTOOL_S_MAX
        )
        if done.returncode:
            yield f"promtool {' '.join(words)}:\n{(done.stdout + done.stderr)[-4000:]}"


def faults(root: Path, *, promtool: bool = True) -> list[str]:
    """Everything that is wrong, one line each."""
    house = read(root)
    foreign = exposed_by_others(root)
    known = made_by_code(root) | foreign
    found = [*check_expressions(house, known), *check_exporters(house, foreign), *check_alerts(root, house, known)]
    return [*found, *check_promtool(root)] if promtool else found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.rules_check", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--no-promtool", action="store_true", help="only what needs no promtool")
    options = parser.parse_args(arguments)
    found = faults(options.root.resolve(), promtool=not options.no_promtool)
    for line in found:
        print(line)
    house = read(options.root)
    print(f"{len(house.alerts)} alerts, {len(house.rules)} rules, {len(house.dashboards)} queries, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
