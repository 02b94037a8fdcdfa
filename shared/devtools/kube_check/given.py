"""A service is given the secrets that it declares in its about.py and its own passwords, and no other."""

from collections.abc import Iterator, Mapping, Sequence

from shared.devtools.gen.settings_doc import settings_class
from shared.devtools.kube import plan
from shared.devtools.kube_check.render import Yaml, is_service, name_of, pods
from shared.devtools.kube_check.secret_names import read
from shared.kit.about import Outside, Secret
from shared.provision.services import about, service_names

IN_COMPOSE = {
    Secret.SEALING_KEY: {"SEALING_KEY"},
    Secret.PHOTO_STORE: {"PHOTO_STORE_KEY_ID", "PHOTO_STORE_SECRET"},
}
IN_CLUSTER = {Secret.SEALING_KEY: {"beegrid-sealing"}, Secret.PHOTO_STORE: {"beegrid-photo-store"}}
CERTIFICATES = {f"{plan.KAFKA}-cluster-ca-cert", f"{plan.POSTGRES}-ca"}
SHOWN_BY = {Secret.SEALING_KEY: "sealing_key", Secret.PHOTO_STORE: "photo_store_url"}
"""The field of a service's settings that shows that it uses a secret."""
WAY_SHOWN_BY = {
    Outside.OBJECT_STORE: "photo_store_url",
    Outside.PUBLIC_HOSTS: "webhook_hosts",
    Outside.MAIL_SERVER: "mail_gateway",
}
BY_WAY = {Outside.PUBLIC_HOSTS: {plan.PROXY_SECRET}, Outside.MAIL_SERVER: {plan.MAIL_SECRET}}
"""Secrets that belong to a way: the overlay that names the way gives them."""


def of_manifests(objects: Sequence[Yaml]) -> Iterator[str]:
    """Secrets that a service's pod reads, in variables or volumes, although nothing says that it needs them."""
    for one, pod in pods(objects):
        if not is_service(one):
            continue
        name = one["metadata"]["name"]
        may = {f"{name}-postgres", name, plan.VALKEY, *CERTIFICATES}
        may |= {secret for kind in about(name).secrets for secret in IN_CLUSTER[kind]}
        may |= {secret for need in about(name).needs for way in need.ways for secret in BY_WAY.get(way, ())}
        for secret in sorted({secret for secret, _ in read(pod)} - may):
            yield f"{name_of(one)}: is given the Secret {secret}, which services/{name}/about.py doesn't declare"


def of_compose(parts: Mapping[str, Yaml], values: Mapping[str, str]) -> Iterator[str]:
    """The same in docker-compose.yml, by the `values` of .env: whatever a variable is called, a value is found."""
    for name in service_names():
        may = {f"{name.upper()}_APP_PASSWORD", f"{name.upper()}_KAFKA_PASSWORD", "VALKEY_PASSWORD"}
        may |= {secret for kind in about(name).secrets for secret in IN_COMPOSE[kind]}
        texts = [str(text) for text in (parts.get(name, {}).get("environment") or {}).values()]
        for secret in sorted(values.keys() - may):
            if values[secret] and any(values[secret] in text for text in texts):
                yield f"compose: {name} is given {secret}, which services/{name}/about.py doesn't declare"


def declared() -> Iterator[str]:
    """Declarations and settings say the same: no secret or way out is declared for nothing, none is used in silence."""
    for name in service_names():
        said, fields = about(name), settings_class(name).model_fields
        ways = {way for need in said.needs for way in need.ways}
        for what, shown_by in (*SHOWN_BY.items(), *WAY_SHOWN_BY.items()):
            wanted = what in said.secrets if isinstance(what, Secret) else what in ways
            if wanted != (shown_by in fields):
                where = f"services/{name}/about.py"
                yield f"{where}: {what.value} is {'' if wanted else 'not '}declared, and the settings have " + (
                    f"{shown_by}" if shown_by in fields else f"no {shown_by}"
                )
