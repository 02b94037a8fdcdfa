"""Postgres, Kafka and Valkey together: started in parallel, or taken from the environment when they run already."""

import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeAlias

from .errors import InfraError
from .kafka import Kafka, start_kafka
from .postgres import Postgres, start_postgres
from .valkey import Valkey, start_valkey
from .watchdog import Guard

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[Guard], None]
EVERYTHING = frozenset({"postgres", "kafka", "valkey"})
POSTGRES_ADMIN_URL = "BEEGRID_POSTGRES_ADMIN_URL"
KAFKA_BOOTSTRAP = "BEEGRID_KAFKA_BOOTSTRAP"
KAFKA_ADMIN_USER = "BEEGRID_KAFKA_ADMIN_USER"
KAFKA_ADMIN_PASSWORD = "BEEGRID_KAFKA_ADMIN_PASSWORD"  # noqa: S105 # the name of a variable
REDIS_URL = "BEEGRID_REDIS_URL"


@dataclass
class Infra:
    """Addresses of the servers (empty text: not wanted) and handles to those that we have started (None: not ours).

    Use as a context manager or call `close`.
    """

    postgres_admin_url: str = ""
    kafka_bootstrap: str = ""
    kafka_admin_user: str = ""
    kafka_admin_password: str = ""
    redis_url: str = ""
    postgres: Postgres | None = None
    kafka: Kafka | None = None
    valkey: Valkey | None = None
    guard: Guard | None = None
    _state_lock: IO[str] | None = field(default=None, repr=False)

    def take(self, server: Postgres | Kafka | Valkey) -> None:
        """Use a server that we have started."""
        if isinstance(server, Postgres):
            self.postgres, self.postgres_admin_url = server, server.admin_url
        elif isinstance(server, Kafka):
            self.kafka, self.kafka_bootstrap = server, server.bootstrap
            self.kafka_admin_user, self.kafka_admin_password = server.admin_user, server.admin_password
        else:
            self.valkey, self.redis_url = server, server.url

    def environment(self) -> dict[str, str]:
        """The variables that make another `start_infra` use these servers."""
        variables = {
            POSTGRES_ADMIN_URL: self.postgres_admin_url,
            KAFKA_BOOTSTRAP: self.kafka_bootstrap,
            KAFKA_ADMIN_USER: self.kafka_admin_user,
            KAFKA_ADMIN_PASSWORD: self.kafka_admin_password,
            REDIS_URL: self.redis_url,
        }
        return {name: value for name, value in variables.items() if value}

    def close(self) -> None:
        """Stops our servers and removes their temporary folders. May be called twice."""
        if self.guard is not None:
            self.guard.close()
        for server in (self.postgres, self.kafka, self.valkey):
            if server is not None:
                server.forget()
        if self._state_lock is not None:
            self._state_lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_infra(
    state_dir: Path | None = None,
    want: Collection[str] = EVERYTHING,
    postgres_settings: Mapping[str, str] | None = None,
    kafka_proxy_port: int | None = None,
    *,
    brief: bool | None = None,
    beside: Callable[[Infra], Mapping[str, Work]] | None = None,
) -> Infra:
    """Starts what is wanted ("postgres", "kafka", "valkey") and isn't named in the environment.

    Without `state_dir` nothing survives; with it Postgres and Kafka keep their data there, all keep their address.
    A server named in the environment is neither started nor stopped. `kafka_proxy_port`, `brief`: see
    `start_kafka`. `beside` names further work: under a server's name it is done as soon as that server is ready, under
    any other at once; all of it is done on return. Raises InfraError, or what further work has raised; nothing is left
    running then.
    """
    if unknown := set(want) - EVERYTHING:
        raise ValueError(f"unknown servers: {', '.join(sorted(unknown))}")
    infra = _from_environment(want)
    starters: dict[str, Work] = {}
    if "postgres" in want and not infra.postgres_admin_url:
        starters["postgres"] = lambda guard: infra.take(start_postgres(guard, state_dir, postgres_settings))
    if "kafka" in want and not infra.kafka_bootstrap:
        starters["kafka"] = lambda guard: infra.take(
            start_kafka(guard, state_dir, proxy_port=kafka_proxy_port, brief=brief)
        )
    if "valkey" in want and not infra.redis_url:
        starters["valkey"] = lambda guard: infra.take(start_valkey(guard, state_dir))
    for name, work in (beside(infra) if beside is not None else {}).items():
        starters[name] = partial(_in_turn, starters[name], work) if name in starters else work
    if not starters:
        return infra
    if state_dir is not None:
        state_dir.mkdir(parents=True, exist_ok=True)
        infra._state_lock = _lock(state_dir)
    try:
        infra.guard = Guard()
        _in_parallel(starters, infra.guard)
    except BaseException:
        infra.close()
        raise
    return infra


def _from_environment(want: Collection[str]) -> Infra:
    infra = Infra()
    if "postgres" in want:
        infra.postgres_admin_url = os.environ.get(POSTGRES_ADMIN_URL, "")
    if "kafka" in want and (bootstrap := os.environ.get(KAFKA_BOOTSTRAP, "")):
        infra.kafka_bootstrap = bootstrap
        infra.kafka_admin_user = os.environ.get(KAFKA_ADMIN_USER, "")
        infra.kafka_admin_password = os.environ.get(KAFKA_ADMIN_PASSWORD, "")
        if not infra.kafka_admin_user or not infra.kafka_admin_password:
            raise InfraError(f"{KAFKA_BOOTSTRAP} also needs {KAFKA_ADMIN_USER} and {KAFKA_ADMIN_PASSWORD}")
    if "valkey" in want:
        infra.redis_url = os.environ.get(REDIS_URL, "")
    return infra


def _lock(state_dir: Path) -> IO[str]:
    """Keeps a second launcher out of the same data. Released by the system when we die."""
    file = (state_dir / "lock").open("a+")
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read(20).strip() or "unknown"
        file.close()
        raise InfraError(
            f"{state_dir} is in use: a suite runs here already, started by process {holder}.\n"
            "使用它 / use it: uv run beegrid doctor · 结束它 / end it: Ctrl-C in its terminal"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _in_turn(first: Work, then: Work, guard: Guard) -> None:
    first(guard)
    then(guard)


def _in_parallel(starters: Mapping[str, Work], guard: Guard) -> None:
    """Runs all starters in threads; the first error ends the wait at once.

    Daemon threads, so that Ctrl-C needn't wait for a download; with a closed guard a late thread starts nothing.
    """
    errors: list[Exception] = []
    changed = threading.Condition()
    open_work = set(starters)

    def run(name: str) -> None:
        failure: Exception | None = None
        try:
            starters[name](guard)
        except Exception as error:  # noqa: BLE001 # handed to the caller's thread
            failure = error
        with changed:
            open_work.discard(name)
            if failure is not None:
                errors.append(failure)
            changed.notify_all()

    for name in starters:
        threading.Thread(target=run, args=(name,), name=f"start-{name}", daemon=True).start()
    with changed:
        while open_work and not errors:
            changed.wait(timeout=0.5)
    if errors:
        raise errors[0]
