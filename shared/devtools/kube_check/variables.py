"""Environment variables of manifests and compose against the settings, both ways, with their values."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import get_origin

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from shared.devtools.gen.settings_doc import settings_class, variable
from shared.devtools.kube.plan import IMAGE
from shared.devtools.kube_check.render import Yaml, containers, name_of, of_kind, pods
from shared.provision.await_schema import AwaitSettings
from shared.provision.services import service_names
from shared.provision.setup import SetupSettings

PREFIX = "BEEGRID_"
PASSWORD = re.compile(r"^BEEGRID_PASSWORD_[A-Z_]+_(OWNER|APP|KAFKA)$")
REFERENCE = re.compile(r"\$\((\w+)\)")
S3 = {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ALLOW_HTTP", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
# The demo reads these itself (shared/devtools/demo): it is no service and has no settings class.
DEMO = {"URL", "PUBLISHED", "IDENTITY", "KAFKA_BOOTSTRAP", "KAFKA_ADMIN_USER", "KAFKA_ADMIN_PASSWORD", "TOPIC_PREFIX"}
DEMO_NAMES = {f"{PREFIX}{name}" for name in DEMO} | {"REPORTS", "RATE"}
# The same of `beegrid` in the toolbox, which has no command of its own.
TOOLS = {
    *DEMO_NAMES,
    f"{PREFIX}TOKEN",
    f"{PREFIX}KAFKA_PUBLIC",
    f"{PREFIX}KAFKA_USERS_BY",
    f"{PREFIX}KAFKA_CA_FILE",
    f"{PREFIX}KAFKA_SECURITY",
    f"{PREFIX}PHOTO_STORE_URL",
    f"{PREFIX}POSTGRES_ADMIN_URL",
    *S3,
}
KNOWN_THERE_ONLY = "\0 known to the cluster only"


def reader_of(command: Sequence[str]) -> type[BaseSettings] | None:
    """The settings that a container of our image reads; None where it reads none of them."""
    module = command[0] if command else ""
    if module.startswith("services."):
        return settings_class(module.removeprefix("services."))
    jobs: dict[str, type[BaseSettings]] = {one.__module__: one for one in (SetupSettings, AwaitSettings)}
    return jobs.get(module)


def check_container(who: str, command: Sequence[str], values: Mapping[str, str]) -> Iterator[str]:
    """Findings of one container; values that come from a Secret are KNOWN_THERE_ONLY."""
    owner = reader_of(command)
    referred = {name for value in values.values() for name in REFERENCE.findall(value)}
    if owner is None:
        read = DEMO_NAMES if command else TOOLS | referred
        yield from (f"{who}: {name} is read by nothing in {command}" for name in sorted(values.keys() - read))
        yield from (f"{who}: $({name}) is used and not set" for name in sorted(referred - values.keys()))
        return
    fields = {variable(owner, name, field): name for name, field in owner.model_fields.items()}
    photos = S3 if "photo_store_url" in owner.model_fields else set()
    for name in sorted(values.keys() - fields.keys() - referred - photos):
        if owner is SetupSettings and PASSWORD.match(name):
            continue
        yield f"{who}: {name} is no setting of {owner.__module__}"
    for name, field in fields.items():
        if owner.model_fields[field].is_required() and name not in values:
            yield f"{who}: required {name} isn't set"
    for name in sorted(referred - values.keys()):
        yield f"{who}: $({name}) is used and not set"
    given = {
        fields[name]: _plain(owner, fields[name], value)
        for name, value in values.items()
        if name in fields and value != KNOWN_THERE_ONLY
    }
    yield from _wrong_values(who, owner, given)


def _plain(owner: type[BaseSettings], field: str, text: str) -> object:
    """As the environment gives it: lists are JSON. What is none is left as it is, and refused."""
    if get_origin(owner.model_fields[field].annotation) is not tuple:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _wrong_values(who: str, owner: type[BaseSettings], given: Mapping[str, object]) -> Iterator[str]:
    hidden = {
        name: SecretStr("x") if field.annotation is SecretStr else "x"
        for name, field in owner.model_fields.items()
        if field.is_required() and name not in given
    }
    try:
        owner(**{**hidden, **given})  # type: ignore[arg-type]  # text, as the environment gives it
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            yield f"{who}: {PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"


def of_manifests(objects: Sequence[Yaml]) -> list[str]:
    """All containers of our image in an overlay."""
    configs = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    found: list[str] = []
    for one, pod in pods(objects):
        for container in containers(pod):
            if container["image"].rpartition("/")[2].partition(":")[0] != IMAGE:
                continue
            who = f"{name_of(one)}: {container['name']}"
            values, problems = values_of(container, configs)
            found += [f"{who}: {problem}" for problem in problems]
            found += check_container(who, container.get("args", []), values)
    return found


def values_of(container: Yaml, configs: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, str], list[str]]:
    """A container's variables, KNOWN_THERE_ONLY where they come from a Secret, and what can't be had."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for source in container.get("envFrom", []):
        config = source.get("configMapRef", {}).get("name")
        if config not in configs:
            problems.append(f"no ConfigMap {config}")
        values |= configs.get(config, {})
    for entry in container.get("env", []):
        value, problem = _value(entry, configs)
        values[entry["name"]] = value
        problems += [problem] if problem else []
    return values, problems


def _value(entry: Yaml, configs: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    source = entry.get("valueFrom")
    if source is None:
        return str(entry.get("value", "")), ""
    if wanted := source.get("configMapKeyRef"):
        value = configs.get(wanted["name"], {}).get(wanted["key"])
        return (value, "") if value is not None else ("", f"no {wanted['key']} in ConfigMap {wanted['name']}")
    return KNOWN_THERE_ONLY, ""


def missing_passwords(values: Mapping[str, str]) -> list[str]:
    """Names of passwords that a set-up job without a folder of files lacks."""
    wanted = [f"{PREFIX}PASSWORD_{service}_{use}".upper() for service in service_names() for use in _USES]
    return [name for name in wanted if name not in values]


_USES = ("owner", "app", "kafka")
