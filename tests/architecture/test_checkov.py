"""What the house leaves to checkov, checkov finds."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared.devtools.kube_check import checkov
from shared.devtools.kube_check.render import Yaml
from tests.architecture.support.objects import container, pod


def no_probe(o: list[Yaml]) -> None:
    del container(o, "intake")["livenessProbe"]


def no_memory(o: list[Yaml]) -> None:
    del container(o, "cases")["resources"]["limits"]["memory"]


def latest(o: list[Yaml]) -> None:
    container(o, "cases")["image"] = "beegrid:latest"


def root(o: list[Yaml]) -> None:
    del pod(o, "points")["securityContext"]["runAsNonRoot"]
    pod(o, "points")["securityContext"]["runAsUser"] = 0


def writable(o: list[Yaml]) -> None:
    container(o, "points")["securityContext"]["readOnlyRootFilesystem"] = False


def capability(o: list[Yaml]) -> None:
    container(o, "points")["securityContext"]["capabilities"]["add"] = ["NET_RAW"]
    container(o, "points")["securityContext"]["capabilities"]["drop"] = []


def escalating(o: list[Yaml]) -> None:
    container(o, "points")["securityContext"]["allowPrivilegeEscalation"] = True


def unconfined(o: list[Yaml]) -> None:
    del pod(o, "points")["securityContext"]["seccompProfile"]


def token(o: list[Yaml]) -> None:
    pod(o, "setup")["automountServiceAccountToken"] = True


CHECKOV: list[tuple[Callable[[list[Yaml]], None], str, str]] = [
    (no_probe, "intake", "CKV_K8S_8"),
    (no_memory, "cases", "CKV_K8S_13"),
    (latest, "cases", "CKV_K8S_14"),
    (root, "points", "CKV_K8S_23"),
    (writable, "points", "CKV_K8S_22"),
    (capability, "points", "CKV_K8S_37"),
    (escalating, "points", "CKV_K8S_20"),
    (unconfined, "points", "CKV_K8S_31"),
    (token, "setup", "CKV_K8S_38"),
]


def test_what_is_left_to_checkov_it_finds(kind: list[Yaml], tmp_path: Path) -> None:
    # all at once: the program takes seconds to start
    for harm, _, _ in CHECKOV:
        harm(kind)
    # the set-up job's name ends with a hash of it
    names = {name for _, name, _ in CHECKOV}
    harmed = [one for one in kind if one["metadata"]["name"].partition("-")[0] in names and "spec" in one]
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(harmed), encoding="utf-8")
    try:
        found = checkov.findings(tmp_path / "objects.yaml")
    except checkov.CheckovMissing as missing:
        pytest.skip(f"no checkov: {missing}")
    for _, name, rule in CHECKOV:
        assert any(rule in one and f".{name}" in one for one in found), (rule, found)
