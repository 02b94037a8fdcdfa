"""Settings of the notifications service, beside those of every service."""

from pathlib import Path

from pydantic import Field, SecretStr

from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """Read from environment variables `BEEGRID_<FIELD>`; lists and networks are JSON."""

    catalogue_path: Path | None = Field(None, description="the city's kinds of report; none: the shipped ones")
    webhook_http_allowed: bool = Field(False, description="plain http for webhooks: local tests only")
    webhook_hosts: tuple[str, ...] = Field(
        (),
        description="only these hosts and their subdomains; empty: all public ones. With a proxy, these alone are "
        "asked for by name, and nothing is resolved here",
    )
    webhook_ports: tuple[int, ...] = Field(
        (), description="only these ports: those that the network lets out; empty: any. Group bots are on 443"
    )
    webhook_networks_allowed: tuple[str, ...] = Field(
        (), description="private networks (CIDR) that webhooks may reach nevertheless"
    )
    outbound_ca_file: Path | None = Field(
        None, description="PEM of authorities that webhooks and bots trust beside the public ones: of a private network"
    )
    outbound_proxy: SecretStr | None = Field(
        None,
        description="http://[user:password@]host:port that webhooks and bots go out through. For webhooks it is asked "
        "for checked addresses, which needs DNS here; or, with `BEEGRID_WEBHOOK_HOSTS`, for those names: it must "
        "refuse private addresses then. Mail goes to the gateway straight",
    )
    webhook_timeout_s: float = Field(
        10.0, gt=0, le=60, description="for a whole attempt: resolve, connect, send, answer"
    )
    webhook_tests_per_minute: int = Field(
        6, ge=1, le=600, description="test events that a company may have sent to its webhook a minute"
    )
    webhook_secret_overlap_hours: int = Field(24, ge=0, description="after a rotation both secrets sign for so long")
    mail_gateway: SecretStr | None = Field(
        None,
        description="apprise URL of the city's mail server, mailtos://user:password@host?from=…; none: no mail. Its "
        "authority is one of the system's, or of SSL_CERT_FILE",
    )
    channel_timeout_s: float = Field(15.0, gt=0, le=60, description="for each connection that apprise makes")
    bot_interval_s: float = Field(
        3.0, ge=0, description="between two messages to one group bot (DingTalk: 20 a minute)"
    )
    delivery_attempts_max: int = Field(8, ge=1, le=20, description="then a delivery is dead")
    delivery_age_hours_max: int = Field(72, ge=1, description="an older unsent delivery is dead")
    delivery_kept_days: int = Field(30, ge=1, description="how long finished deliveries and attempts are kept")
    message_kept_days: int = Field(365, ge=1, description="how long messages stay in inboxes")
    sender_poll_s: float = Field(
        1.0, gt=0, description="pause of the sender when nothing is due; ten times as long while nothing happens"
    )
    sender_parallel: int = Field(
        16,
        ge=1,
        le=200,
        description="attempts of a process under way together: so many to each kind of channel, twice as many to "
        "webhooks; one receiver has a quarter at most",
    )
