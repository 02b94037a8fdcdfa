"""Which kinds `kubectl apply --prune` takes away: all that production has, but for those that are kept on purpose."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.devtools.kube_check.render import Yaml

FILE = "k8s/pruned-kinds.txt"
KEPT = {
    "core/v1/Namespace": "everything would go with it",
    "core/v1/Secret": "the sealing key is in one",
    "core/v1/PersistentVolumeClaim": "data",
    "kafka.strimzi.io/v1/Kafka": "data",
    "kafka.strimzi.io/v1/KafkaNodePool": "data",
    "postgresql.cnpg.io/v1/Cluster": "data",
    "postgresql.cnpg.io/v1/ScheduledBackup": "its backups' objects go with it",
    "barmancloud.cnpg.io/v1/ObjectStore": "a former cluster is recovered from it",
    "scheduling.k8s.io/v1/PriorityClass": "of the whole cluster: other namespaces may use it",
    "core/v1/ConfigMap": "pods of the former release that start once more read theirs",
    "batch/v1/Job": "the former release's set-up would run again on a way back",
}
"""Kinds that are not pruned, with the reason."""


def check(objects: Sequence[Yaml], root: Path) -> list[str]:
    """Findings of a production overlay."""
    file = root / FILE
    said = set(file.read_text(encoding="utf-8").split()) if file.is_file() else set()
    return list(_faults(said, {_kind(one) for one in objects}))


def _faults(said: set[str], there: set[str]) -> Iterator[str]:
    for kind in sorted(there - said - KEPT.keys()):
        yield f"{FILE}: {kind} isn't named: what leaves the manifests would stay for ever"
    for kind in sorted(said & KEPT.keys()):
        yield f"{FILE}: {kind} must not be named: {KEPT[kind]}"
    for kind in sorted(said - there - KEPT.keys()):
        yield f"{FILE}: {kind} is named, and nothing is of it: a server without it refuses the whole apply"


def _kind(one: Yaml) -> str:
    version = str(one["apiVersion"])
    return f"{version if '/' in version else f'core/{version}'}/{one['kind']}"
