"""Strimzi's KafkaTopic and KafkaUser from the registry, by way of the same declarations that make the local ACLs."""

from collections.abc import Sequence
from typing import Any

from shared.devtools.kube import plan
from shared.provision.kafka import TopicSpec
from shared.provision.kafka_rights import AclSpec
from shared.provision.quotas import Quota
from shared.provision.topology import acl_specs, company_acl, system_acl, topic_specs

Yaml = dict[str, Any]
LAG_READER = "keda"
IN_CLUSTER = {"strimzi.io/cluster": plan.KAFKA}


# Of a company's and a city system's own objects: who leaves is taken away by it
COMPANY, SYSTEM = "beegrid.dev/company", "beegrid.dev/system"


def topics(companies: Sequence[str] = (), *, only_companies: bool = False) -> list[Yaml]:
    """Every topic with its dead-letter partner; with `only_companies`, those of the companies alone."""
    plain = [] if only_companies else [made for spec in topic_specs() for made in _with_partner(spec)]
    known = {spec.name for spec in topic_specs()}
    own = [
        _of(made, COMPANY, code)
        for code in companies
        for spec in topic_specs([code])
        if spec.name not in known
        for made in _with_partner(spec)
    ]
    return [*plain, *own]


def users() -> list[Yaml]:
    """Each service's user with exactly its rights, and KEDA's, which sees lag and no record."""
    return [*(_user(spec.user, acls(spec)) for spec in acl_specs()), _user(LAG_READER, _lag_reader())]


def company_users(companies: Sequence[str]) -> list[Yaml]:
    """The companies' own users."""
    specs = [(code, company_acl(code)) for code in companies]
    return [_of(_user(spec.user, acls(spec), spec.quota), COMPANY, code) for code, spec in specs]


def system_users(systems: Sequence[str]) -> list[Yaml]:
    """City systems' users, who read the public topics and nothing else."""
    specs = [(code, system_acl(code)) for code in systems]
    return [_of(_user(spec.user, acls(spec)), SYSTEM, code) for code, spec in specs]


def changed_rights(companies: Sequence[str]) -> dict[str, list[Yaml]]:
    """All rights of the services that the companies' topics concern, by service."""
    before = {spec.user: spec for spec in acl_specs()}
    after = {spec.user: spec for spec in acl_specs(companies) if spec.user in before}
    return {user: acls(spec) for user, spec in after.items() if spec != before[user]}


def acls(spec: AclSpec) -> list[Yaml]:
    """Rights in Strimzi's words, one entry a resource."""
    written = [_acl("topic", name, "literal", "Describe", "Write") for name in spec.write]
    read = [_acl("topic", name, "literal", "Describe", "Read") for name in spec.read]
    groups = [_acl("group", name, "prefix", "Read") for name in spec.group_prefixes]
    return [*written, *read, *groups]


def _of(made: Yaml, label: str, code: str) -> Yaml:
    made["metadata"]["labels"][label] = code
    return made


def _acl(kind: str, name: str, pattern: str, *operations: str) -> Yaml:
    return {
        "resource": {"type": kind, "name": plan.TOPIC_PREFIX + name, "patternType": pattern},
        "operations": list(operations),
    }


def _lag_reader() -> list[Yaml]:
    return [_acl("topic", "", "prefix", "Describe"), _acl("group", "", "prefix", "Describe")]


def _user(name: str, rights: list[Yaml], quota: Quota | None = None) -> Yaml:
    limits = {"producerByteRate": quota.bytes_per_s, "requestPercentage": quota.request_percentage} if quota else None
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {**IN_CLUSTER, **plan.PART_OF}},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": rights},
            **({"quotas": limits} if limits else {}),
        },
    }


def _with_partner(spec: TopicSpec) -> list[Yaml]:
    return [_topic(one) for one in (spec, spec.partner()) if one is not None]


def _topic(spec: TopicSpec) -> Yaml:
    full = plan.TOPIC_PREFIX + spec.name
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": full, "labels": {**IN_CLUSTER, **plan.PART_OF}},
        "spec": {
            "topicName": full,
            "partitions": spec.partitions,
            "replicas": 3,
            "config": {**spec.config(), "min.insync.replicas": 2},
        },
    }
