"""Finding one's way in rendered manifests."""

from shared.devtools.kube_check.again import HASH
from shared.devtools.kube_check.render import Yaml, pods


def called(o: Yaml, name: str) -> bool:
    """By the name that its file says: kustomize ends some with a hash of their content."""
    return name in (whole := o["metadata"]["name"], HASH.sub("", whole))


def one(objects: list[Yaml], kind: str, name: str) -> Yaml:
    return next(o for o in objects if o["kind"] == kind and called(o, name))


def pod(objects: list[Yaml], name: str) -> Yaml:
    return next(spec for workload, spec in pods(objects) if called(workload, name))


def container(objects: list[Yaml], name: str) -> Yaml:
    return pod(objects, name)["containers"][0]  # type: ignore[no-any-return]  # YAML
