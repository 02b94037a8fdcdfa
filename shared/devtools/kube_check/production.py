"""What a city's own overlay must say and a trial need not: which image exactly, and on which disks."""

import re
from collections.abc import Iterator, Sequence

from shared.devtools.kube_check.render import Yaml, containers, name_of, of_kind, pods

PINNED = re.compile(r"[^@]:[^@/]+@sha256:[0-9a-f]{64}")


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings of an overlay of that kind."""
    return [*unpinned(objects), *anywhere(objects), *overwriting(objects)]


def unpinned(objects: Sequence[Yaml]) -> Iterator[str]:
    """Images by tag alone, which somebody can move, or by digest alone, of which nobody sees the version."""
    images = [(one, container["image"]) for one, pod in pods(objects) for container in containers(pod)]
    images += [(one, one["spec"]["imageName"]) for one in of_kind(objects, "Cluster")]
    for one, image in images:
        if not PINNED.search(image):
            yield f"{name_of(one)}: the image {image} needs its digest beside its tag"


def anywhere(objects: Sequence[Yaml]) -> Iterator[str]:
    """Volumes on whatever the cluster's default class is today, or with no size of this overlay's own."""
    for one in objects:
        for where, claim, field in _claims(one):
            if not claim.get(field):
                yield f"{name_of(one)}: {where} names no class of storage"


def _claims(one: Yaml) -> Iterator[tuple[str, Yaml, str]]:
    """Each volume that outlives its pod: where it stands, its claim, and how its class is called there."""
    if one["kind"] in ("KafkaNodePool", "Cluster"):
        spec = one["spec"]
        for number, volume in enumerate(spec.get("storage", {}).get("volumes", ())):
            yield f"storage.volumes[{number}]", volume, "class"
        if one["kind"] == "Cluster":
            yield from ((name, spec[name], "storageClass") for name in ("storage", "walStorage") if name in spec)
    if one["kind"] == "StatefulSet":
        for claim in one["spec"].get("volumeClaimTemplates", ()):
            yield f"the claim {claim['metadata']['name']}", claim["spec"], "storageClassName"


def overwriting(objects: Sequence[Yaml]) -> Iterator[str]:
    """A recovered Postgres reads one place of a store that is there and writes to another, never over its source."""
    stores = {one["metadata"]["name"] for one in of_kind(objects, "ObjectStore")}
    for one in of_kind(objects, "Cluster"):
        name, spec = one["metadata"]["name"], one["spec"]
        source = spec["bootstrap"].get("recovery", {}).get("source")
        if source is None:
            continue
        sources = [each["plugin"]["parameters"] for each in spec.get("externalClusters", ()) if each["name"] == source]
        if not sources or sources[0].get("barmanObjectName") not in stores:
            yield f"{name_of(one)}: recovers from {source}, which is no place in an ObjectStore that is there"
            continue
        read = (sources[0]["barmanObjectName"], sources[0].get("serverName", source))
        for each in spec.get("plugins", ()):
            parameters = each.get("parameters", {})
            if (parameters.get("barmanObjectName"), parameters.get("serverName", name)) == read:
                yield f"{name_of(one)}: writes WAL to {'/'.join(read)}, from where it was recovered"
