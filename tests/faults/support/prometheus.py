"""A real Prometheus with the suite's own rules, in a hurry: it asks every second, and no alert waits for its `for`."""

import json
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.gen.prometheus import job
from shared.devtools.infra.process import ManagedProcess, ServerSpec, free_port
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT

PROGRAM = shutil.which("prometheus")
MISSING = "prometheus isn't installed (Debian package prometheus)"
EVERY = "1s"


class Prometheus(ManagedProcess):
    """Scrapes the given processes. `url` is its address."""

    def __init__(self, spec: ServerSpec, guard: Guard, port: int) -> None:
        super().__init__(spec, guard)
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str) -> Any:
        """The data of an answer of its HTTP API."""
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)["data"]

    def firing(self) -> set[str]:
        """Names of the alerts that fire now, each with the job or the level that it is about."""
        found = [alert for alert in self.ask("/api/v1/alerts")["alerts"] if alert["state"] == "firing"]
        return {_told(alert["labels"]) for alert in found}

    def scraped(self) -> set[str]:
        """Jobs that answered the last time they were asked."""
        targets = self.ask("/api/v1/targets?state=active")["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}


def _told(labels: Mapping[str, str]) -> str:
    about = labels.get("job", "").removeprefix("beegrid-") or labels.get("level", "")
    return f"{labels['alertname']} {about}".strip()


def start(guard: Guard, folder: Path, targets: Mapping[str, Sequence[int]]) -> Prometheus:
    """Start it; `targets`: service → ports on this machine. It expects to hear of exactly these services."""
    assert PROGRAM is not None, MISSING
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "ops/prometheus/rules").glob("*.yml")):
        rules = yaml.safe_load(file.read_text(encoding="utf-8"))
        (folder / "rules" / file.name).write_text(yaml.safe_dump(hasty(rules, set(targets))), encoding="utf-8")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(targets)), encoding="utf-8")
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
    made.start()
    return made


def _ready(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
        return bool(answer.status == 200)


def _configuration(targets: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [
            {"job_name": job(service), "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for service, ports in targets.items()
        ],
    }


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
