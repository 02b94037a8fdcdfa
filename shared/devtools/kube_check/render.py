"""What kubectl would apply: every overlay, rendered by kustomize."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.kube import plan

Yaml = dict[str, Any]
KUBECTL = Path(sys.executable).with_name("kubectl")
LONGEST_S = 60
TOOLBOX = "k8s/components/toolbox"
GROUPS = {"", "apps", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "scheduling.k8s.io"}
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RenderError(Exception):
    """kustomize's own words."""


def overlays(root: Path) -> list[Path]:
    """Folders that are applied as a whole."""
    return sorted(path.parent for path in root.glob("k8s/overlays/*/kustomization.yaml"))


def rendered_with(folder: Path, component: Path) -> list[Yaml]:
    """An overlay with one component more, as somebody adds a line to it.

    Raises:
        RenderError: kustomize refuses it.
    """
    with tempfile.TemporaryDirectory(prefix="beegrid-kustomize-") as name:
        here = Path(name).resolve()
        parts = {"resources": folder, "components": component}
        wanted = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": plan.NAMESPACE,
            **{word: [os.path.relpath(path.resolve(), here)] for word, path in parts.items()},
        }
        own = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        wanted["images"] = own.get("images", [])
        (here / "kustomization.yaml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
        return render(here)


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


def whole(root: Path) -> Iterator[tuple[str, Callable[[], list[Yaml]]]]:
    """All that can be applied, by name: every overlay, and production with the toolbox."""
    for folder in overlays(root):
        yield folder.name, partial(render, folder)
        if folder.name == "production" and (root / TOOLBOX).is_dir():
            yield f"{folder.name} with {plan.TOOLBOX}", partial(rendered_with, folder, root / TOOLBOX)


def built_in(one: Yaml) -> bool:
    """Whether every cluster knows an object's kind; others come with operators."""
    return one["apiVersion"].rpartition("/")[0] in GROUPS


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
    return labels_of(one).get("beegrid.dev/role") == "service"


def labels_of(one: Yaml) -> dict[str, str]:
    """Labels of a workload's pods."""
    spec = one["spec"]
    template = spec["template"] if "template" in spec else spec["jobTemplate"]["spec"]["template"]
    found: dict[str, str] = template["metadata"].get("labels", {})
    return found


def by_operators(objects: Sequence[Yaml]) -> bool:
    """Whether an overlay is for a cluster whose operators make Kafka and Postgres."""
    return bool(of_kind(objects, "Kafka"))
