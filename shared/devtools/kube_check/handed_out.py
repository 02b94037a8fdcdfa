"""What companies are given by the toolbox's commands, and what a pod may do without."""

from collections.abc import Iterator, Mapping, Sequence

from shared.devtools.kube import plan
from shared.devtools.kube_check.again import HASH
from shared.devtools.kube_check.render import Yaml, by_operators, containers, is_service, name_of, of_kind, pods
from shared.devtools.kube_check.variables import REFERENCE, values_of

PUBLIC, USERS_BY = "BEEGRID_KAFKA_PUBLIC", "BEEGRID_KAFKA_USERS_BY"
IDENTITY = "beegrid-identity"


def check(objects: Sequence[Yaml]) -> list[str]:
    """Findings of an overlay."""
    return [*addresses(objects), *keys_elsewhere(objects)]


def addresses(objects: Sequence[Yaml]) -> Iterator[str]:
    """The toolbox hands out the address at which Kafka answers outside, and makes users where no operator does."""
    configs = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    by = "strimzi" if by_operators(objects) else "beegrid"
    for one, pod in pods(objects):
        if one["metadata"]["name"] != plan.TOOLBOX:
            continue
        values, _ = values_of(containers(pod)[0], configs)
        said = _expanded(values.get(PUBLIC, ""), values)
        if said not in (there := set(_outside(objects, configs))):
            yield f"{name_of(one)}: {PUBLIC} is {said or 'not set'}, and Kafka is outside {' or '.join(sorted(there))}"
        if values.get(USERS_BY) != by:
            yield f"{name_of(one)}: {USERS_BY} is {values.get(USERS_BY)}, and Kafka's users are made by {by} here"


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)


def _outside(objects: Sequence[Yaml], configs: dict[str, dict[str, str]]) -> Iterator[str]:
    for one in of_kind(objects, "Kafka"):
        for listener in one["spec"]["kafka"]["listeners"]:
            names = listener.get("configuration", {}).get("bootstrap", {}).get("alternativeNames", ())
            yield from (f"{name}:{listener['port']}" for name in names)
    for name, data in configs.items():
        if HASH.sub("", name) == f"{plan.KAFKA}-kafka" and "public_host" in data:
            yield f"{data['public_host']}:{plan.KAFKA_OUTSIDE_PORT}"


def keys_elsewhere(objects: Sequence[Yaml]) -> Iterator[str]:
    """A city whose issuer has an address (BEEGRID_JWKS_URL) has no ConfigMap with keys, and pods start all the same."""
    for one, pod in pods(objects):
        for volume in pod.get("volumes", ()) if is_service(one) else ():
            source = volume.get("configMap", {})
            if source.get("name") == IDENTITY and source.get("optional") is not True:
                yield f"{name_of(one)}: without the ConfigMap {IDENTITY} no pod starts: it must be optional"
