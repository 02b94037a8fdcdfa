"""`python -m shared.provision.setup`: roles, schemas, topics, users, rights, by the environment; idempotent.

The job that runs before a new version's services: in compose on every start, in Kubernetes on every release (there
without Kafka, whose topics and users the operator makes from the generated manifests).
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import asyncpg
from confluent_kafka import KafkaException
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.kit import clock
from shared.known.tables import migration_folders
from shared.provision.kafka import KafkaAdmin, KafkaRefuses, connect_admin
from shared.provision.migrate import MigrationError, migrate
from shared.provision.postgres import database_url, owner_role, provision_postgres
from shared.provision.services import service_names
from shared.provision.topology import Cluster, provision_suite

T = TypeVar("T")
EXIT_MISCONFIGURED = 78
TRY_EVERY_S = 1.0


class SetupSettings(BaseSettings):
    """Read from environment variables `BEEGRID_<FIELD>`.

    Passwords: `BEEGRID_PASSWORD_<SERVICE>_OWNER`, `…_APP` and `…_KAFKA`, or files `<service>_owner` and so on in
    `passwords_folder`.
    """

    model_config = SettingsConfigDict(env_prefix="BEEGRID_", frozen=True, extra="ignore")

    postgres_admin_url: SecretStr | None = Field(
        None, description="URL of a role that may create roles and databases; none: Postgres is left alone"
    )
    postgres_database: str = Field("beegrid", description="created where it isn't there")
    kafka_bootstrap: str | None = Field(None, description="host:port of one or more brokers")
    kafka_admin_user: str = Field("admin", description="a super user of the cluster, with SCRAM-SHA-512")
    kafka_admin_password: SecretStr | None = Field(None, description="none: Kafka is left alone")
    kafka_security: Literal["SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    kafka_ca_file: str = Field(
        "", description="PEM of the authority that signs brokers' certificates; empty: the machine's"
    )
    kafka_replication_factor: int = Field(1, ge=1, le=9, description="of new topics")
    topic_prefix: str = Field("beegrid.", description="before every topic and group name")
    passwords_folder: Path | None = Field(None, description="folder with a file a password, e.g. a mounted Secret")
    setup_wait_s: float = Field(120.0, ge=0, description="how long servers may take until they answer")


class MissingPasswords(Exception):
    """The environment and the folder lack passwords; the text names all of them."""


def read_passwords(
    environment: Mapping[str, str], folder: Path | None, *, postgres: bool, kafka: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Passwords of the Postgres roles by `<service>_owner` and `<service>_app`, and of the Kafka users by service.

    Raises:
        MissingPasswords: some are nowhere.
    """
    missing = []

    def read(service: str, use: str) -> str:
        name = f"BEEGRID_PASSWORD_{service}_{use}".upper()
        file = folder / f"{service}_{use}" if folder is not None else None
        found = environment.get(name) or (file.read_text().strip() if file is not None and file.is_file() else "")
        if not found:
            missing.append(name)
        return found

    services = service_names()
    roles = {f"{service}_{use}": read(service, use) for service in services for use in ("owner", "app") if postgres}
    users = {service: read(service, "kafka") for service in services if kafka}
    if missing:
        raise MissingPasswords(", ".join(missing))
    return roles, users


def set_up(settings: SetupSettings, environment: Mapping[str, str], say: Callable[[str], None] = print) -> None:
    """Bring both servers to what the registry and the migrations declare.

    Raises:
        MissingPasswords: see read_passwords.
        MigrationError: a migration failed; what was done before it stays.
        TimeoutError: a server doesn't answer within `setup_wait_s`.
    """
    admin = settings.kafka_admin_password
    kafka = admin is not None and settings.kafka_bootstrap is not None
    roles, users = read_passwords(
        environment, settings.passwords_folder, postgres=settings.postgres_admin_url is not None, kafka=kafka
    )
    if settings.postgres_admin_url is not None:
        _postgres(settings.postgres_admin_url.get_secret_value(), settings, roles, say)
    if admin is not None and settings.kafka_bootstrap is not None:
        super_user = KafkaAdmin(
            settings.kafka_admin_user, admin.get_secret_value(), settings.kafka_security, settings.kafka_ca_file
        )
        cluster = Cluster(
            settings.kafka_bootstrap,
            super_user,
            settings.topic_prefix,
            replication_factor=settings.kafka_replication_factor,
        )
        _until(lambda: connect_admin(cluster.bootstrap, super_user, timeout_s=5), settings.setup_wait_s, "Kafka")
        changes = provision_suite(cluster, users)
        say(
            f"Kafka: {len(changes.topics_created)} topics created, {len(changes.topics_altered)} changed, "
            f"{changes.acls_added} rights given, {changes.acls_removed} taken away"
        )


def _postgres(
    admin_url: str, settings: SetupSettings, passwords: Mapping[str, str], say: Callable[[str], None]
) -> None:
    services, database = list(service_names()), settings.postgres_database
    _until(lambda: asyncio.run(_ping(admin_url)), settings.setup_wait_s, "Postgres")
    provision_postgres(admin_url, database, services, passwords)
    say(f"Postgres: {len(services)} schemas with their roles in {database}")

    def up_to_date(service: str) -> list[str]:
        url = database_url(admin_url, database, owner_role(service), passwords[owner_role(service)])
        return migrate(url, service, migration_folders(service))

    with ThreadPoolExecutor(max_workers=4) as threads:
        for service, applied in zip(services, threads.map(up_to_date, services), strict=True):
            say(f"{service}: {', '.join(applied) if applied else 'up to date'}")


async def _ping(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    await connection.close()


def _until(act: Callable[[], T], wait_s: float, what: str) -> T:
    """Try until it works. Wrong passwords end at once."""
    deadline_s = clock.monotonic_s() + wait_s
    while True:
        try:
            return act()
        except KafkaRefuses:
            raise
        except (OSError, asyncpg.CannotConnectNowError, KafkaException, TimeoutError) as error:
            if clock.monotonic_s() > deadline_s:
                raise TimeoutError(f"{what} doesn't answer after {wait_s:.0f} s: {error}") from error
        time.sleep(TRY_EVERY_S)


def main() -> int:
    """0: all is as declared; 78: a setting or password is missing or refused; 1: a server or migration failed."""
    try:
        settings = SetupSettings()
        set_up(settings, os.environ, lambda line: print(line, flush=True))
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            print(f"BEEGRID_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except MissingPasswords as missing:
        print(f"no password in: {missing}", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except KafkaRefuses as refused:
        print(f"set-up failed: {refused} (BEEGRID_KAFKA_ADMIN_USER, BEEGRID_KAFKA_ADMIN_PASSWORD)", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except asyncpg.InvalidAuthorizationSpecificationError as refused:
        print(f"set-up failed: Postgres refuses: {refused} (BEEGRID_POSTGRES_ADMIN_URL)", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except (MigrationError, TimeoutError, KafkaException, asyncpg.PostgresError, OSError) as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
