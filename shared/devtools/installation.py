"""One installation of the suite on given servers: names, secrets, schemas, topics. Tests make many of them."""

import base64
import contextlib
import copy
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from shared.cli.whole_files import FOR_THE_OWNER, whole_text
from shared.devtools.identity import Identity
from shared.devtools.infra.suite import Infra
from shared.devtools.mould import ROLES, Mould, mould_of
from shared.kit.about import Secret
from shared.known.tables import migration_folders
from shared.provision.kafka import KafkaAdmin, delete_topics
from shared.provision.migrate import migrate
from shared.provision.postgres import app_role, database_url, drop_database, owner_role, provision_postgres
from shared.provision.services import about, service_names
from shared.provision.topology import Cluster, provision_suite

ROOT = Path(__file__).resolve().parents[2]
RoleName = Callable[..., str]


@dataclass
class Secrets:
    """Generated once per installation; kept in a file only its owner can read where the installation persists."""

    postgres: dict[str, str] = field(default_factory=dict)
    kafka: dict[str, str] = field(default_factory=dict)
    sealing_key: str = ""

    @classmethod
    def generate(cls, services: tuple[str, ...]) -> Self:
        """New passwords and a new sealing key."""
        roles = [role for name in services for role in (owner_role(name), app_role(name))]
        return cls(
            postgres={role: secrets.token_urlsafe(24) for role in roles},
            kafka={name: secrets.token_urlsafe(24) for name in services},
            sealing_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        )


class Installation:
    """Database, roles, topics, users and identity of one suite.

    `name` prefixes everything that servers share between installations; the standing one is called "beegrid".
    """

    def __init__(self, infra: Infra, folder: Path, name: str = "beegrid", redis_number: int = 0) -> None:
        self.infra = infra
        self.folder = folder
        self.name = name
        self.services = tuple(service_names())
        standing = name == "beegrid"
        self.role_prefix = "" if standing else f"{name}_"
        self.user_prefix = "" if standing else f"{name}-"
        self.topic_prefix = f"{name}."
        self.redis_number = redis_number
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = Identity.open(folder / "identity")
        self.secrets = self._secrets()
        self._mould: Mould | None = None
        self._keep_secrets()

    @classmethod
    @contextlib.contextmanager
    def fresh(
        cls, infra: Infra, folder: Path, letter: str, services: Sequence[str] = (), redis_number: int = 0
    ) -> Iterator[Self]:
        """A new one whose topics begin at offset 0, set up and removed with the block.

        `letter` begins its name, so that a server's logs show whose it was. `services`: the only ones that get schemas,
        which saves seconds; all of them where none is named. On a server that we have started the database is
        copied from a migrated one, and its roles are those of all such copies.
        """
        made = cls(infra, folder, f"{letter}{secrets.token_hex(4)}", redis_number)
        made.services = tuple(services) or made.services
        if infra.postgres is not None:
            made._mould = mould_of(infra.postgres, made.secrets.postgres)
            made.role_prefix = ROLES
            made.secrets.postgres = made._mould.passwords
            made._keep_secrets()
        try:
            made.set_up()
            yield made
        finally:
            made.remove()

    @property
    def cluster(self) -> Cluster:
        """The Kafka side."""
        admin = KafkaAdmin(self.infra.kafka_admin_user, self.infra.kafka_admin_password)
        return Cluster(self.infra.kafka_bootstrap, admin, self.topic_prefix, self.user_prefix)

    def set_up(self) -> None:
        """Create or complete database, roles, schemas, topics, users and rights; run outstanding migrations."""
        with ThreadPoolExecutor(max_workers=1) as threads:
            kafka = threads.submit(self.set_up_kafka)
            self.set_up_postgres()
            kafka.result()

    def set_up_kafka(self) -> None:
        """Topics, users and rights."""
        provision_suite(self.cluster, self.secrets.kafka)

    def set_up_postgres(self) -> None:
        """Database, roles and schemas with all migrations."""
        if self._mould is not None:
            self._mould.copy(self.name, self.services, self._migrate_all)
            return
        admin_url, passwords = self.infra.postgres_admin_url, self.secrets.postgres
        provision_postgres(admin_url, self.name, list(self.services), passwords, role_prefix=self.role_prefix)
        self._migrate_all(self.name)

    def migrate(self, service: str, database: str = "") -> None:
        """Bring one service's schema up to date, in this installation's database unless another is named."""
        migrate(self.dsn(service, owner_role, database), service, migration_folders(service))

    def _migrate_all(self, database: str) -> None:
        with ThreadPoolExecutor(max_workers=4) as threads:
            for done in [threads.submit(self.migrate, service, database) for service in self.services]:
                done.result()

    def remove(self) -> None:
        """Drop everything that `set_up` has created; roles that others share stay."""
        own_roles = [] if self._mould is not None else list(self.services)
        drop_database(self.infra.postgres_admin_url, self.name, own_roles, self.role_prefix)
        delete_topics(self.cluster.bootstrap, self.cluster.admin, self.topic_prefix, self.user_prefix)

    def through(self, infra: Infra) -> Self:
        """The same installation, its servers reached by other addresses."""
        found = copy.copy(self)
        found.infra = infra
        return found

    def dsn(self, service: str, role_of: RoleName = app_role, database: str = "") -> str:
        """The address of the database (or another one) for a service's app role, or its owner role."""
        password = self.secrets.postgres[role_of(service)]
        role = role_of(service, self.role_prefix)
        return database_url(self.infra.postgres_admin_url, database or self.name, role, password)

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        """All settings of one service's process."""
        redis_url = self.infra.redis_url
        if redis_url.count("/") == 3:
            redis_url = f"{redis_url.rsplit('/', 1)[0]}/{self.redis_number}"
        sealing = {"BEEGRID_SEALING_KEY": self.secrets.sealing_key}
        if Secret.SEALING_KEY not in about(service).secrets:
            sealing.clear()
        return {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONUNBUFFERED": "1",
            "BEEGRID_POSTGRES_DSN": self.dsn(service),
            "BEEGRID_KAFKA_BOOTSTRAP": self.infra.kafka_bootstrap,
            "BEEGRID_KAFKA_USERNAME": self.user_prefix + service,
            "BEEGRID_KAFKA_PASSWORD": self.secrets.kafka[service],
            "BEEGRID_TOPIC_PREFIX": self.topic_prefix,
            "BEEGRID_REDIS_URL": redis_url,
            "BEEGRID_HTTP_PORT": str(port),
            "BEEGRID_TRUSTED_PROXIES": "127.0.0.1",
            "BEEGRID_JWKS_URL": self.identity.jwks_url,
            **sealing,
        }

    def _secrets(self) -> Secrets:
        file = self.folder / "secrets.json"
        found = Secrets(**json.loads(file.read_text())) if file.exists() else Secrets()
        fresh = Secrets.generate(self.services)
        found.postgres = {**fresh.postgres, **found.postgres}
        found.kafka = {**fresh.kafka, **found.kafka}
        found.sealing_key = found.sealing_key or fresh.sealing_key
        return found

    def _keep_secrets(self) -> None:
        file = self.folder / "secrets.json"
        with whole_text(file, mode=FOR_THE_OWNER) as out:
            json.dump(asdict(self.secrets), out)
