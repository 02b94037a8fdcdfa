"""What a second `kubectl apply` does: nothing where nothing changed, new pods where something did."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from shared.devtools.kube_check.render import Yaml, built_in, containers, name_of, of_kind, pods

# As kustomize writes it at a name's end.
HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")
# A server writes these shorter, and finds them changed when they come again: 1000m, 1024Mi.
LONG = re.compile(r"(?P<cpu>\d+)000m|(?P<memory>\d+)(?:Ki|Mi|Gi)")
AMOUNTS = {"cpu", "memory", "storage", "ephemeral-storage", "sizeLimit"}
SETUP = "setup"
GITOPS = {"argocd.argoproj.io/sync-options": "Force=true", "kustomize.toolkit.fluxcd.io/force": "enabled"}


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings of an overlay."""
    return [*dropped(objects), *unwritten(objects), *unnoticed(objects), *unrepeatable(objects)]


def dropped(objects: Sequence[Yaml]) -> Iterator[str]:
    """Values that the API server doesn't keep as they are: each apply would change the object again."""
    for one in objects:
        # what operators bring the server keeps as it is said; the rest it reads into types of its own
        typed = built_in(one)
        for path, value in _leaves(one):
            if value is None or (value == [] and typed):
                yield f"{name_of(one)}: {path} is empty, which the server doesn't keep"
            if typed and path.rpartition(".")[2] in AMOUNTS and _long(str(value)):
                yield f"{name_of(one)}: {path}: the server writes {value} in another way"


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node:
        for value in node:
            yield from _leaves(value, f"{path}[]")
    else:
        yield path, node


def _long(amount: str) -> bool:
    found = LONG.fullmatch(amount)
    return found is not None and (found["cpu"] is not None or int(found["memory"]) % 1024 == 0)


def unwritten(objects: Sequence[Yaml]) -> Iterator[str]:
    """What a server fills in where one field has one owner: after a plain apply a server-side one would conflict."""
    for one, pod in pods(objects):
        for container in containers(pod):
            for entry in container.get("env", []):
                source = (entry.get("valueFrom") or {}).get("fieldRef")
                if source is not None and "apiVersion" not in source:
                    yield f"{name_of(one)}: {entry['name']}: fieldRef needs its apiVersion, which the server fills in"
    for one in of_kind(objects, "StatefulSet"):
        for claim in one["spec"].get("volumeClaimTemplates", ()):
            said = {key: claim.get(key) for key in ("apiVersion", "kind", "status")}
            said["volumeMode"] = claim["spec"].get("volumeMode")
            if missing := sorted(key for key, value in said.items() if not value):
                needs = f"needs {', '.join(missing)} as the server fills them in"
                yield f"{name_of(one)}: the claim {claim['metadata']['name']} {needs}"


def unnoticed(objects: Sequence[Yaml]) -> Iterator[str]:
    """A ConfigMap of ours has its content's hash in its name, so that what is changed in it comes to pods."""
    ours = {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}
    for one, pod in pods(objects):
        for name in sorted(ours & set(_configs(pod))):
            if not HASH.search(name):
                yield f"{name_of(one)}: a change of the ConfigMap {name} comes to no pod: it needs configMapGenerator"


def _configs(pod: Yaml) -> Iterator[str]:
    for container in containers(pod):
        yield from (
            source["configMapRef"]["name"] for source in container.get("envFrom", []) if "configMapRef" in source
        )
        for entry in container.get("env", []):
            if wanted := (entry.get("valueFrom") or {}).get("configMapKeyRef"):
                yield wanted["name"]
    yield from (volume["configMap"]["name"] for volume in pod.get("volumes", []) if "configMap" in volume)


def unrepeatable(objects: Sequence[Yaml]) -> Iterator[str]:
    """A Job can't be changed and mustn't vanish: each release has one of its own name, which stays."""
    jobs = of_kind(objects, "Job")
    if not any(one["metadata"]["name"].startswith(f"{SETUP}-") for one in jobs):
        yield f"Job/{SETUP}-…: missing"
    for one in jobs:
        if not HASH.search(one["metadata"]["name"]):
            yield f"{name_of(one)}: another image can't be applied over it: its name must say what it is made of"
        if "ttlSecondsAfterFinished" in one["spec"]:
            yield f"{name_of(one)}: vanishes when it is done, and each later apply makes and runs it again"
        for word, value in GITOPS.items():
            if one["metadata"].get("annotations", {}).get(word) != value:
                yield f"{name_of(one)}: needs the annotation {word}: {value}"
