"""Settings that every service has. A service's own settings extend this class; the environment is the only source."""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.kit.proxies import Proxies


class KitSettings(BaseSettings):
    """Read from environment variables `BEEGRID_<FIELD>`; a missing required one ends the process with its name.

    One process has one service, so the names are the same everywhere and the values differ per process.
    """

    model_config = SettingsConfigDict(env_prefix="BEEGRID_", frozen=True, extra="ignore")

    postgres_dsn: SecretStr = Field(description="DSN of the service's own role, e.g. postgresql://intake_app:…@host/db")
    postgres_pool_max: int = Field(8, ge=2, le=50, description="connections per process; more is slower, not faster")
    kafka_bootstrap: str = Field(description="host:port of one or more brokers, comma-separated")
    kafka_username: str = Field(description="SCRAM-SHA-512 user of the service")
    kafka_password: SecretStr = Field(description="password of that user")
    kafka_security: Literal["SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "SASL_PLAINTEXT", description="SASL_SSL: the brokers speak TLS"
    )
    kafka_ca_file: str | None = Field(
        None,
        description="CA certificates for SASL_SSL, read again when the file changes; `ca-2026-….crt` beside `ca.crt` "
        "are former ones, which are trusted too",
    )
    kafka_instance_id: str | None = Field(
        None,
        description="static group membership: only a name that survives a restart",
    )
    kafka_heartbeat_ms: int = Field(
        1_000,
        ge=100,
        le=5_000,
        description="how often a member of a group reports: so soon it hears of a new share-out",
    )
    kafka_session_ms: int = Field(
        15_000,
        ge=6_000,
        le=300_000,
        description="how long a member of a group may be silent before others get its partitions; longer where members "
        "are static: a pod must come back within it",
    )
    topic_prefix: str = Field("beegrid.", description="before every topic and group name")
    redis_url: SecretStr = Field(description="redis://… for rate limits and caches; may be flushed at any time")
    http_host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0: all of them")
    http_port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: any free one")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="a second port with /metrics alone, for whoever may ask for nothing else; 0: none",
    )
    trusted_proxies: str = Field(
        "",
        description="addresses and networks of the proxies in front, comma-separated: their X-Forwarded-For says who "
        "calls, nobody else's",
    )
    http_body_bytes_max: int = Field(2_000_000, ge=1_000, description="larger request bodies get 413")
    http_bodies_bytes_max: int = Field(
        48_000_000,
        ge=8_400_000,
        description="bytes of request bodies that a process holds at once, half of them from one address and a quarter "
        "before its signature is checked; more: 503",
    )
    city_timezone: str = Field(
        "Asia/Shanghai",
        description="IANA zone of the city, the same for all services: its days, opening and quiet hours, and "
        "all times that people read",
    )
    front_door: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="https://… address at which everybody reaches the suite, printed where somebody is to verify "
        "something; none: the one that was asked at, which is http where a proxy ends TLS",
    )
    jwks_url: str = Field(description="https://… or file://… of the issuer's JSON Web Key Set")
    jwt_issuer: str = Field("https://beegrid.local", description="`iss` of tokens; others are refused")
    jwt_audience: str = Field("beegrid", description="`aud` of tokens; others are refused")
    rate_limit_per_minute: int = Field(6_000, ge=1, description="requests per principal and service")
    batch_records_max: int = Field(500, ge=1, le=5000, description="records handled in one transaction")
    batch_interval_ms: int = Field(
        20, ge=0, le=1000, description="least time between two small batches of a topic: under load batches fill"
    )
    handler_attempts_max: int = Field(6, ge=1, le=20, description="tries before a failing record is a dead letter")
    letter_bytes_max: int = Field(
        134_217_728,
        ge=0,
        description="of the open dead letters of one company's topic, in bytes; those beyond are kept without their "
        "content, which stays in the company's topic for as long as that keeps it",
    )
    letter_rows_max: int = Field(
        100_000,
        ge=1,
        description="open dead letters of one company's topic; those beyond are only counted, with their offsets",
    )
    letters_alike_max: int = Field(
        200,
        ge=1,
        description="dead letters of one topic for one reason, less what effects and time give back, before the topic "
        "stands still instead; of a company's topic only what our own handler raises counts",
    )
    letters_alike_share: float = Field(
        0.1, ge=0, le=1, description="share of a topic's records that may be dead letters for one reason for good"
    )
    letters_alike_s: float = Field(
        3_600.0, ge=1, description="seconds in which such letters are forgotten, unless the topic stands still"
    )
    outbox_rows_max: int = Field(500_000, ge=1, description="deeper outbox: new work is refused with 503")
    outbox_tries_max: int = Field(
        6,
        ge=1,
        le=20,
        description="tries, with pauses that double from 1 s, before an event that Kafka refuses waits "
        "for an operator; a topic is tried each minute after that",
    )
    shutdown_grace_s: float = Field(20.0, ge=1, description="time for handlers in flight after SIGTERM")
    drain_s: float = Field(0.0, ge=0, le=60, description="after SIGTERM: not ready, yet serving, until balancers know")
    inbox_retention_hours: int = Field(24 * 22, ge=1, description="longer than topic retention plus dead-letter age")
    areas_poll_s: float = Field(2.0, gt=0, le=60, description="how often a process asks whether the map has changed")
    erasure_settle_s: float = Field(
        60.0, ge=0.1, description="from a rider's erasure to the second look; longer than any transaction may last"
    )
    otlp_endpoint: str | None = Field(None, description="http(s)://…/v1/traces; none: spans are not exported")
    trace_ratio: float = Field(0.01, ge=0, le=1, description="share of requests that start a recorded trace")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="what is logged, and above")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        Proxies.parse(text)
        return text

    @field_validator("city_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, OSError, ValueError) as error:
            raise ValueError(f"{name!r} is no IANA time zone, e.g. Asia/Shanghai or Asia/Urumqi") from error
        return name

    @property
    def city_zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.city_timezone)


class SealingSettings(KitSettings):
    """Of a service that seals or unseals, and says so in its about.py: no other one is given the key."""

    sealing_key: SecretStr = Field(
        description="32 bytes, base64, with `<time made>.` before it if known: seals keys at rest and on internal "
        "topics. Several, by commas: the first seals, all unseal"
    )
