"""Migrated databases to copy from, on a server that this process has started: copying takes a tenth of migrating."""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from shared.devtools.infra.postgres import Postgres
from shared.provision.postgres import provision_postgres, run_blocking

ROLES = "mould_"


@dataclass
class Mould:
    """Of one server, whose end is its end. A copy keeps the owners of what is in it: so all copies share the roles.

    `passwords` by role without prefix; `made`: the database that has the schemas of these services and nothing else.
    """

    admin_url: str
    passwords: dict[str, str]
    made: dict[tuple[str, ...], str] = field(default_factory=dict)

    def copy(self, database: str, services: Sequence[str], migrate: Callable[[str], None]) -> None:
        """Create a database with the schemas of these services.

        `migrate` is asked, once for each set of services, to fill the database of that name.
        """
        key = tuple(services)
        if key not in self.made:
            name = f"{ROLES}{len(self.made)}"
            self._provision(name, services)
            migrate(name)
            self.made[key] = name
        run_blocking(_copy(self.admin_url, self.made[key], database))
        self._provision(database, services)

    def _provision(self, database: str, services: Sequence[str]) -> None:
        provision_postgres(self.admin_url, database, services, self.passwords, role_prefix=ROLES)


_moulds: weakref.WeakKeyDictionary[Postgres, Mould] = weakref.WeakKeyDictionary()


def mould_of(server: Postgres, passwords: dict[str, str]) -> Mould:
    """The server's; where it has none yet, a new one with these passwords."""
    return _moulds.setdefault(server, Mould(server.admin_url, passwords))


async def _copy(admin_url: str, template: str, database: str) -> None:
    admin = await asyncpg.connect(admin_url, timeout=10)
    try:
        await admin.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
    finally:
        await admin.close()
