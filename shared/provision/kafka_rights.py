"""What users may do on a Kafka cluster: which rights are wanted, which are there, and how they become the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from shared.provision.kafka_waiting import until, wait_for
from shared.provision.quotas import Quota


@dataclass(frozen=True)
class AclSpec:
    """Everything that one user may do: names of topics and beginnings of consumer groups' names, without the prefix.

    Write includes describe; an idempotent producer needs no more.
    """

    user: str
    write: Sequence[str] = ()
    read: Sequence[str] = ()
    group_prefixes: Sequence[str] = ()
    quota: Quota | None = None
    """How much the user may send; None: no limit."""


def bindings(spec: AclSpec, prefix: str, user_prefix: str) -> Iterable[AclBinding]:
    """A user's rights as the cluster has them, names with their prefixes."""
    principal = f"User:{user_prefix}{spec.user}"
    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    write, read, describe = AclOperation.WRITE, AclOperation.READ, AclOperation.DESCRIBE
    rules = [
        (ResourceType.TOPIC, spec.write, literal, (write, describe)),
        (ResourceType.TOPIC, spec.read, literal, (read, describe)),
        (ResourceType.GROUP, spec.group_prefixes, prefixed, (read,)),
    ]
    for kind, names, pattern, operations in rules:
        for name in names:
            for operation in operations:
                yield AclBinding(kind, prefix + name, pattern, principal, "*", operation, AclPermissionType.ALLOW)


def give_rights(client: AdminClient, prefix: str, wanted: Mapping[str, set[AclBinding]]) -> tuple[int, int]:
    """Give these principals exactly these rights below the prefix: in one request for all, however many there are.

    Returns how many were added and removed. Raises confluent_kafka.KafkaException, TimeoutError.
    """

    def present() -> set[AclBinding]:
        found = present_rights(client, next(iter(wanted)) if len(wanted) == 1 else None)
        return {acl for acl in found if acl.principal in wanted and acl.name.startswith(prefix)}

    whole, before = set[AclBinding]().union(*wanted.values()), present()
    if missing := list(whole - before):
        wait_for(client.create_acls(missing))
    if surplus := [filter_of(acl) for acl in before - whole]:
        wait_for(client.delete_acls(surplus))
    if missing or surplus:
        until(lambda: present() == whole, "rights")
    return len(missing), len(surplus)


def has_rights(client: AdminClient, user: str) -> bool:
    """Whether a user may do anything at all."""
    return bool(present_rights(client, f"User:{user}"))


def present_rights(client: AdminClient, principal: str | None) -> list[AclBinding]:
    """All rights of one principal, or of everybody. Raises confluent_kafka.KafkaException."""
    anything: Any = None  # allowed in filters; the declaration doesn't know
    whose: Any = principal
    everything = AclBindingFilter(
        ResourceType.ANY, anything, ResourcePatternType.ANY, whose, anything, AclOperation.ANY, AclPermissionType.ANY
    )
    return list(client.describe_acls(everything).result())


def filter_of(acl: AclBinding) -> AclBindingFilter:
    """What finds this right and no other."""
    return AclBindingFilter(
        acl.restype, acl.name, acl.resource_pattern_type, acl.principal, acl.host, acl.operation, acl.permission_type
    )
