"""What kubectl would apply: every overlay, rendered by kustomize."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

Yaml = dict[str, Any]
KUBECTL = Path(sys.executable).with_name("kubectl")
LONGEST_S = 60
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RenderError(Exception):
    """kustomize's own words."""


def overlays(root: Path) -> list[Path]:
    """Folders that are applied as a whole."""
    return sorted(path.parent for path in root.glob("k8s/overlays/*/kustomization.yaml"))


def render(folder: Path) -> list[Yaml]:
    """All objects of an overlay.

    Raises:
        RenderError: kustomize refuses it.
    """
    done = subprocess.run(
        [str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=LONGEST_S
    )
    if done.returncode != 0:
        raise RenderError(done.stderr.strip())
    return [one for one in yaml.load_all(done.stdout, Loader=LOADER) if one]


def name_of(one: Yaml) -> str:
    """Kind and name, for a finding."""
    return f"{one.get('kind')}/{one.get('metadata', {}).get('name')}"


def of_kind(objects: Sequence[Yaml], *kinds: str) -> list[Yaml]:
    """Objects of the given kinds."""
    return [one for one in objects if one.get("kind") in kinds]


def pods(objects: Sequence[Yaml]) -> Iterator[tuple[Yaml, Yaml]]:
    """Each workload with its pod's spec."""
    for one in of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job"):
        yield one, one["spec"]["template"]["spec"]
    for one in of_kind(objects, "CronJob"):
        yield one, one["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(pod: Yaml) -> list[Yaml]:
    """All containers of a pod, those that run first included."""
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def is_service(one: Yaml) -> bool:
    """Whether a workload is one of our services."""
    return bool(one["spec"]["template"]["metadata"].get("labels", {}).get("beegrid.dev/role") == "service")
