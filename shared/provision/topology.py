"""From the registry to a cluster: topics, users and exactly the rights that the declarations imply."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from shared.events import registry
from shared.events.registry import AnyTopic
from shared.events.topic import OUTBOUND, Audience, Facts
from shared.kit.messaging.kafka import TOPIC_BYTES_MAX
from shared.provision.kafka import (
    Changes,
    Compaction,
    KafkaAdmin,
    TopicSpec,
    connect_admin,
    delete_all_of,
    lock_out,
    provision_kafka,
)
from shared.provision.kafka_rights import AclSpec, has_rights
from shared.provision.quotas import Quota
from shared.provision.services import names_of, service_names, writes

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
COMPACTED_WITHIN_MS = DAY_MS
# A reader that is further behind than its topic's steps must still meet the tombstones of what it knows.
TOMBSTONES_MS = 30 * DAY_MS
INBOUND = "inbound."
# Some thousands of reports a second: more than a city's riders see, less than fills the brokers' disks in a day.
COMPANY_QUOTA = Quota(bytes_per_s=4 * 1024 * 1024, request_percentage=50)


@dataclass(frozen=True)
class Cluster:
    """A Kafka cluster with its administrator, and the prefixes of one installation on it."""

    bootstrap: str
    admin: KafkaAdmin
    topic_prefix: str = "beegrid."
    user_prefix: str = ""
    replication_factor: int = 1


def topic_specs(companies: Sequence[str] = (), doers: Sequence[str] | None = None) -> list[TopicSpec]:
    """All topics of the suite, and the own topics of the given companies.

    `doers`: services that report deeds; as their about.py files say if not given.
    """
    plain = [topic for topic in registry.topics() if topic.place != "company"]
    own = [_spec(name, topic) for topic in plain for name in names_of(topic, services=doers)]
    return own + [_spec(topic.member(code), topic) for topic in _families() for code in companies]


def acl_specs(companies: Sequence[str] = (), doers: Sequence[str] | None = None) -> list[AclSpec]:
    """Each service writes what it produces and the dead letters of what it consumes, reads what it consumes."""
    specs = []
    for service in service_names():
        consumed = [name for topic in registry.consumed_by(service) for name in names_of(topic, companies, doers)]
        specs.append(
            AclSpec(
                user=service,
                write=[*writes(service, companies), *(f"{name}.dlq" for name in consumed)],
                read=consumed,
                group_prefixes=[f"{service}."],
            )
        )
    return specs + [company_acl(code) for code in companies]


def company_acl(code: str, user: str = "") -> AclSpec:
    """A company, or another `user` of its, writes its own inbound topics, reads why its records were refused, what
    becomes of those that weren't, and the public topics that are for companies too.
    """
    names = [topic.member(code) for topic in registry.inbound_topics()]
    public = [one for one in registry.consumed_by("company") if one.audience is Audience.PUBLIC]
    heard = [topic.member(code) for topic in (*registry.outbound_topics(), *public)]
    return AclSpec(
        user=user or company_user(code),
        write=names,
        read=[*(f"{name}.dlq" for name in names), *heard],
        group_prefixes=[f"{company_user(code)}."],
        quota=COMPANY_QUOTA,
    )


def system_acl(code: str) -> AclSpec:
    """A city system reads the public topics."""
    user = system_user(code)
    return AclSpec(user=user, read=[topic.name for topic in registry.public_topics()], group_prefixes=[f"{user}."])


def company_user(code: str) -> str:
    """The SCRAM user of a company."""
    return f"company-{code}"


def company_users(code: str) -> tuple[str, str]:
    """The two users that a company changes between when its password is rotated; no code has a dot."""
    return company_user(code), f"{company_user(code)}.2"


def system_user(code: str) -> str:
    """The SCRAM user of a city system."""
    return f"system-{code}"


def known_companies(cluster: Cluster) -> list[str]:
    """Companies that have inbound topics on the cluster."""
    before = cluster.topic_prefix + INBOUND
    names = connect_admin(cluster.bootstrap, cluster.admin).list_topics(timeout=15).topics
    return sorted({name.removeprefix(before).split(".")[0] for name in names if name.startswith(before)})


def provision_suite(cluster: Cluster, passwords: Mapping[str, str], doers: Sequence[str] | None = None) -> Changes:
    """Create or complete everything that the registry declares. `passwords`: of the services' users.

    `doers`: as in `topic_specs`.
    """
    companies = known_companies(cluster)
    return _provision(cluster, topic_specs(companies, doers), passwords, acl_specs(companies, doers))


def provision_company(cluster: Cluster, code: str, password: str) -> Changes:
    """Create a company's own topics and user, and let the services that are concerned read and write them."""
    companies = sorted({*known_companies(cluster), code})
    own = [_spec(topic.member(code), topic) for topic in _families()]
    acls = [spec for spec in acl_specs(companies) if spec.user in {*_concerned(), company_user(code)}]
    return _provision(cluster, own, {company_user(code): password}, acls)


def give_company_user(cluster: Cluster, code: str, user: str, password: str) -> None:
    """Let one of a company's two users in, with this password; the other one stays as it is."""
    _provision(cluster, [], {user: password}, [company_acl(code, user)])


@contextmanager
def lent_user(cluster: Cluster, rights: AclSpec, name: str, password: str) -> Iterator[AclSpec]:
    """Another user with the same rights, for the length of the block; then it may do nothing any more."""
    lent = replace(rights, user=name)
    _provision(cluster, [], {name: password}, [lent])
    try:
        yield lent
    finally:
        end_company_user(cluster, name)


def end_company_user(cluster: Cluster, user: str) -> None:
    """Take a user's rights away and give it a password that nobody knows. What is connected is cut off too."""
    _provision(cluster, [], {user: secrets.token_urlsafe(32)}, [AclSpec(user=user)])


@dataclass(frozen=True)
class Removed:
    """What somebody who leaves had on the cluster, by whole names."""

    users: list[str]
    topics: list[str]


def remove_company(cluster: Cluster, code: str) -> Removed:
    """Lock a company's users out, delete its own topics with all records in them, and the services' rights to them.

    Done again it completes what was broken off.
    """
    users = _lock_out(cluster, company_users(code))
    client = connect_admin(cluster.bootstrap, cluster.admin)
    groups = f"{cluster.topic_prefix}{company_user(code)}."
    topics = [
        name
        for beginning in (INBOUND, OUTBOUND)
        for name in delete_all_of(client, f"{cluster.topic_prefix}{beginning}{code}.", groups)
    ]
    staying = acl_specs([one for one in known_companies(cluster) if one != code])
    _provision(cluster, [], {}, [spec for spec in staying if spec.user in _concerned()])
    return Removed(users, topics)


def remove_system(cluster: Cluster, code: str) -> Removed:
    """Lock a city system's user out."""
    return Removed(_lock_out(cluster, [system_user(code)]), [])


def _lock_out(cluster: Cluster, users: Sequence[str]) -> list[str]:
    """Without rights first: what is connected is cut off with them."""
    _provision(cluster, [], {}, [AclSpec(user=user) for user in users])
    client = connect_admin(cluster.bootstrap, cluster.admin)
    return lock_out(client, [cluster.user_prefix + user for user in users])


def company_user_at_work(cluster: Cluster, code: str) -> str:
    """Which of a company's two users has been given rights last: the second is without any while the first works."""
    first, second = company_users(code)
    client = connect_admin(cluster.bootstrap, cluster.admin)
    return second if has_rights(client, cluster.user_prefix + second) else first


def company_users_at_work(cluster: Cluster, code: str) -> list[str]:
    """Those of a company's two users that have rights now: both while a rotation is not over."""
    client = connect_admin(cluster.bootstrap, cluster.admin)
    return [user for user in company_users(code) if has_rights(client, cluster.user_prefix + user)]


def provision_system(cluster: Cluster, code: str, password: str) -> Changes:
    """Create a city system's user, who may read the public topics."""
    return _provision(cluster, [], {system_user(code): password}, [system_acl(code)])


def _provision(
    cluster: Cluster, topics: Sequence[TopicSpec], users: Mapping[str, str], acls: Sequence[AclSpec]
) -> Changes:
    return provision_kafka(
        cluster.bootstrap,
        cluster.admin,
        cluster.topic_prefix,
        topics,
        users,
        acls,
        user_prefix=cluster.user_prefix,
        replication_factor=cluster.replication_factor,
    )


def _families() -> list[AnyTopic]:
    """Families of companies' topics."""
    return [topic for topic in registry.topics() if topic.place == "company"]


def _concerned() -> set[str]:
    """Services that read or write companies' own topics."""
    return {name for topic in _families() for name in (topic.producer, *topic.consumers)} - {"company"}


def _spec(name: str, topic: AnyTopic) -> TopicSpec:
    kept = topic.kept
    if isinstance(kept, Facts):
        return TopicSpec(name, topic.partitions, kept.hours * HOUR_MS, TOPIC_BYTES_MAX)
    steps_ms = kept.steps_hours * HOUR_MS
    compaction = Compaction(steps_ms, steps_ms + COMPACTED_WITHIN_MS, TOMBSTONES_MS)
    return TopicSpec(name, topic.partitions, -1, TOPIC_BYTES_MAX, compaction)
