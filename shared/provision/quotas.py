"""How much a user may send to the brokers. librdkafka has no request for it, so it is spoken here by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from shared.provision.postgres import run_blocking

if TYPE_CHECKING:
    from shared.provision.kafka import KafkaAdmin

ALTER_CLIENT_QUOTAS = 49
_Entity: TypeAlias = "list[tuple[str, str]]"
_ENTITY = ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8"))))


@dataclass(frozen=True)
class Quota:
    """Beyond it the broker answers a user later and later: nobody else waits, nothing is refused."""

    bytes_per_s: int
    """As they come in, to each broker."""
    request_percentage: int
    """Of one request thread of each broker: unpacking a batch costs the broker time, whatever its size."""


class AlterClientQuotasResponse(Response):  # type: ignore[misc]  # aiokafka's classes have no types
    """KIP-546, version 0."""

    API_KEY = ALTER_CLIENT_QUOTAS
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), _ENTITY)),
    )


class AlterClientQuotasStruct(RequestStruct):  # type: ignore[misc]  # aiokafka's classes have no types
    """KIP-546, version 0."""

    API_KEY = ALTER_CLIENT_QUOTAS
    API_VERSION = 0
    RESPONSE_TYPE = AlterClientQuotasResponse
    SCHEMA = Schema(
        ("entries", Array(_ENTITY, ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))))),
        ("validate_only", Boolean),
    )


class AlterClientQuotas(Request[AlterClientQuotasStruct]):  # type: ignore[misc]  # aiokafka's classes have no types
    """What users may send from now on."""

    API_KEY = ALTER_CLIENT_QUOTAS

    def __init__(self, quotas: Mapping[str, Quota]) -> None:
        self._quotas = quotas

    def build(self, request_struct_class: type[AlterClientQuotasStruct]) -> AlterClientQuotasStruct:
        """The request as it travels."""
        entries = [
            (
                [("user", user)],
                [
                    ("producer_byte_rate", float(quota.bytes_per_s), False),
                    ("request_percentage", float(quota.request_percentage), False),
                ],
            )
            for user, quota in self._quotas.items()
        ]
        return request_struct_class(entries, False)


def set_quotas(bootstrap: str, admin: "KafkaAdmin", quotas: Mapping[str, Quota]) -> None:
    """Give users these quotas, by their names as they are on the cluster. Raises aiokafka.errors.KafkaError."""
    if quotas:
        run_blocking(_set(bootstrap, admin, quotas))


async def _set(bootstrap: str, admin: "KafkaAdmin", quotas: Mapping[str, Quota]) -> None:
    encrypted = admin.security_protocol == "SASL_SSL"
    client = AIOKafkaClient(
        bootstrap_servers=bootstrap.split(","),
        security_protocol=admin.security_protocol,
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=admin.user,
        sasl_plain_password=admin.password,
        ssl_context=create_ssl_context(cafile=admin.ca_file or None) if encrypted else None,
    )
    try:
        await client.bootstrap()
        answer: Any = await client.send(client.get_random_node(), AlterClientQuotas(quotas))
        for code, message, entity in answer.entries:
            if code:
                raise for_code(code)(f"quota of {entity}: {message}")
    finally:
        await client.close()
