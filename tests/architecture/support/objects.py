"""Finding one's way in rendered manifests."""

from shared.devtools.kube_check.render import Yaml, pods


def one(objects: list[Yaml], kind: str, name: str) -> Yaml:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def pod(objects: list[Yaml], name: str) -> Yaml:
    return next(spec for workload, spec in pods(objects) if workload["metadata"]["name"] == name)


def container(objects: list[Yaml], name: str) -> Yaml:
    return pod(objects, name)["containers"][0]  # type: ignore[no-any-return]  # YAML
