"""A real Prometheus with the suite's own rules, in a hurry: it asks every second, and no alert waits for its `for`."""

import json
import math
import shutil
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.gen.prometheus import job
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.process import ManagedProcess, ServerSpec
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT
from shared.kit import clock

PROGRAM = shutil.which("prometheus")
MISSING = "prometheus isn't installed (Debian package prometheus)"
EVERY = "1s"
TARGETS = "targets.json"
CONFIGURATION = {
    "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
    "rule_files": ["rules/*.yml"],
    # the job of each target is its label
    "scrape_configs": [{"job_name": "suite", "file_sd_configs": [{"files": [TARGETS], "refresh_interval": EVERY}]}],
}


class Prometheus(ManagedProcess):
    """Scrapes the given processes. `url` is its address."""

    def __init__(self, spec: ServerSpec, guard: Guard, port: int) -> None:
        super().__init__(spec, guard)
        self.url = f"http://127.0.0.1:{port}"
        self._targets: list[dict[str, Any]] = []

    def watch(self, service: str, port: int) -> None:
        """Ask this process too, within a second."""
        self._targets.append({"targets": [f"127.0.0.1:{port}"], "labels": {"job": job(service)}})
        whole = self.spec.home / "targets.new"
        whole.write_text(json.dumps(self._targets), encoding="utf-8")
        whole.rename(self.spec.home / TARGETS)

    def ask(self, path: str) -> Any:
        """The data of an answer of its HTTP API."""
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)["data"]

    def firing(self) -> set[str]:
        """The alerts that fire now, each by name, severity and what it is about."""
        found = [alert for alert in self.ask("/api/v1/alerts")["alerts"] if alert["state"] == "firing"]
        return {in_words(alert["labels"]) for alert in found}

    def has_data(self, expression: str, seconds: int) -> bool:
        """Whether an expression had any value but NaN in the last `seconds`.

        Raises:
            HTTPError: Prometheus refuses the expression.
        """
        now_s = clock.unix_s()
        query = {"query": expression, "start": now_s - seconds, "end": now_s, "step": 5}
        series = self.ask(f"/api/v1/query_range?{urllib.parse.urlencode(query)}")["result"]
        return any(not math.isnan(float(value)) for one in series for _, value in one["values"])

    def scraped(self) -> set[str]:
        """Jobs that answered the last time they were asked."""
        targets = self.ask("/api/v1/targets?state=active")["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}


def in_words(labels: Mapping[str, str]) -> str:
    """An alert in words: its name, its severity, and the window, company, level, lane or service that it is about."""
    about = next((labels[name] for name in ("window", "company", "level", "lane", "job") if name in labels), "")
    return f"{labels['alertname']} {labels['severity']} {about.removeprefix('beegrid-')}".strip()


def rules(root: Path = ROOT, but: str = "") -> set[str]:
    """What each alerting rule of the house says of itself, as `in_words` begins; without those of the file `but`."""
    found = set()
    for file in sorted(file for file in (root / "ops/prometheus/rules").glob("*.yml") if file.name != but):
        for group in yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["groups"]:
            named = [rule for rule in group["rules"] if "alert" in rule]
            found |= {in_words({"alertname": rule["alert"], **rule["labels"]}) for rule in named}
    return found


def start(guard: Guard, folder: Path, targets: Mapping[str, int]) -> Prometheus:
    """Start it; `targets`: service → port on this machine. It expects to hear of exactly these services."""
    assert PROGRAM is not None, MISSING
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "ops/prometheus/rules").glob("*.yml")):
        rules = yaml.safe_load(file.read_text(encoding="utf-8"))
        (folder / "rules" / file.name).write_text(yaml.safe_dump(hasty(rules, set(targets))), encoding="utf-8")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(CONFIGURATION), encoding="utf-8")
    port = free_port()
    spec = ServerSpec(
        name="prometheus",
        argv=[
            PROGRAM,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
        home=folder,
        log=folder / "prometheus.log",
        ready=lambda _pid: _ready(port),
    )
    made = Prometheus(spec, guard, port)
    for service, own_port in targets.items():
        made.watch(service, own_port)
    made.start()
    return made


def _ready(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
        return bool(answer.status == 200)


def hasty(rules: dict[str, Any], services: set[str]) -> dict[str, Any]:
    """The same rules, evaluated every second, without waiting; expectations only of these services."""
    jobs = {job(service) for service in services}
    for group in rules["groups"]:
        group["interval"] = EVERY
        group["rules"] = [rule for rule in group["rules"] if rule.get("labels", {}).get("job", "") in {"", *jobs}]
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = EVERY
    return rules
