"""Settings that every service has. A service's own settings extend this class; the environment is the only source."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    kafka_security: Literal["SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    kafka_ca_file: str | None = Field(None, description="CA certificate for SASL_SSL")
    kafka_instance_id: str | None = Field(
        None,
        description="static group membership: only a name that survives a restart",
    )
    topic_prefix: str = Field("beegrid.", description="before every topic and group name")
    redis_url: SecretStr = Field(description="redis://… for rate limits and caches; may be flushed at any time")
    http_host: str = "127.0.0.1"
    http_port: int = Field(8080, ge=0, le=65535)
    http_body_bytes_max: int = Field(2_000_000, description="larger request bodies get 413")
    jwks_url: str = Field(description="https://… or file://… of the issuer's JSON Web Key Set")
    jwt_issuer: str = "https://beegrid.local"
    jwt_audience: str = "beegrid"
    rate_limit_per_minute: int = Field(6_000, ge=1, description="requests per principal and service")
    batch_records_max: int = Field(500, ge=1, le=5000, description="records handled in one transaction")
    batch_interval_ms: int = Field(
        20, ge=0, le=1000, description="least time between two small batches of a topic: under load batches fill"
    )
    handler_attempts_max: int = Field(6, ge=1, le=20, description="tries before a failing record is a dead letter")
    outbox_rows_max: int = Field(500_000, ge=1, description="deeper outbox: new work is refused with 503")
    shutdown_grace_s: float = Field(20.0, ge=1, description="time for handlers in flight after SIGTERM")
    drain_s: float = Field(0.0, ge=0, le=60, description="after SIGTERM: not ready, yet serving, until balancers know")
    inbox_retention_hours: int = Field(24 * 22, ge=1, description="longer than topic retention plus dead-letter age")
    sealing_key: SecretStr = Field(
        description="32 bytes, base64, with `<time made>.` before it if known: seals keys at rest and on internal "
        "topics. Several, by commas: the first seals, all unseal"
    )
    otlp_endpoint: str | None = Field(None, description="http(s)://…/v1/traces; none: spans are not exported")
    trace_ratio: float = Field(0.01, ge=0, le=1, description="share of requests that start a recorded trace")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
