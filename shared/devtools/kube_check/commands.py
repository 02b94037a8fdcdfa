"""kubectl's commands in the documentation: each kind and name is one that the production overlay has."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from shared.devtools.kube import small
from shared.devtools.kube_check.render import LOADER, Yaml, of_kind
from shared.provision.services import service_names

KINDS = {
    "cronjob": "CronJob",
    "daemonset": "DaemonSet",
    "deploy": "Deployment",
    "deployment": "Deployment",
    "job": "Job",
    "kafka": "Kafka",
    "kafkatopic": "KafkaTopic",
    "kafkauser": "KafkaUser",
    "scaledobject": "ScaledObject",
    "statefulset": "StatefulSet",
    "sts": "StatefulSet",
}
KIND = "|".join(sorted(KINDS, key=len, reverse=True))
# up to the line's end, and on where a line of prose broke inside of backticks
COMMAND = re.compile(r"`kubectl (?P<quoted>[^`]+)`|^(?:.*\| *| *)kubectl (?P<line>.+)$", re.MULTILINE)
NAMED = re.compile(rf"(?<![\w/.-])(?P<kind>{KIND})s?[/ ](?P<name><service>|(?!-)[\w.-]+)")
RESTARTED = re.compile(rf"\brollout \w+ (?P<kind>{KIND})\b")
ANY_SERVICE = "<service>"


def check(objects: Sequence[Yaml], root: Path) -> list[str]:
    """Findings in docs/ and k8s/README.md against the rendered production overlay and what others add to it."""
    there = [*objects, *_more(root)]
    files = [*sorted(root.glob("docs/**/*.md")), root / "k8s/README.md"]
    return [sentence for file in files for sentence in _of_file(file, root, there)]


def _more(root: Path) -> Iterator[Yaml]:
    """Of components, and of the overlay that has no operators."""
    for file in sorted((*root.glob("k8s/components/*/*.yaml"), *root.glob(f"k8s/overlays/{small.OVERLAY}/*.yaml"))):
        for one in yaml.load_all(file.read_text(encoding="utf-8"), Loader=LOADER):
            if isinstance(one, dict) and "kind" in one:
                yield one


def _of_file(file: Path, root: Path, there: Sequence[Yaml]) -> Iterator[str]:
    where = file.relative_to(root).as_posix()
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind(there, "ScaledObject")}
    for found in COMMAND.finditer(file.read_text(encoding="utf-8")):
        # what stands behind the dashes is another program's
        words = " ".join((found["quoted"] or found["line"]).partition(" # ")[0].partition(" -- ")[0].split())
        for named in NAMED.finditer(words):
            kind, name = KINDS[named["kind"]], named["name"]
            names = {one["metadata"]["name"] for one in of_kind(there, kind) if "metadata" in one}
            wanted = set(service_names()) if name == ANY_SERVICE else {name}
            if not wanted <= names:
                yield f"{where}: `kubectl {words}`: production has no {kind} {name}"
            if re.search(r"\bscale\b", words) and wanted & scaled:
                yield f"{where}: `kubectl {words}`: KEDA undoes it; change the ScaledObject's bounds"
        for restarted in RESTARTED.finditer(words):
            kind = KINDS[restarted["kind"]]
            services = [one for one in of_kind(there, kind) if one["metadata"]["name"] in service_names()]
            if "/" not in words and kind != "Job" and not services:
                yield f"{where}: `kubectl {words}`: production's services are of another kind than {kind}"
