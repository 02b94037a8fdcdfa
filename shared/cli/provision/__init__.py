"""Makes databases, roles, topics, users and rights exist, locally, in compose and in Kubernetes alike. Idempotent."""

from .kafka import (
    AclSpec,
    Changes,
    Compaction,
    KafkaAdmin,
    TopicSpec,
    client_config,
    connect_admin,
    delete_topics,
    has_rights,
    provision_kafka,
    scram_users,
)
from .postgres import app_role, database_url, drop_database, other_database, owner_role, provision_postgres
from .quotas import Quota

__all__ = [
    "AclSpec",
    "Changes",
    "Compaction",
    "KafkaAdmin",
    "Quota",
    "TopicSpec",
    "app_role",
    "client_config",
    "connect_admin",
    "database_url",
    "delete_topics",
    "drop_database",
    "has_rights",
    "other_database",
    "owner_role",
    "provision_kafka",
    "provision_postgres",
    "scram_users",
]
