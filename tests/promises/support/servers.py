"""Servers that a fault may hit: never those named in the environment, which somebody else may be using."""

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.devtools.infra.process import ManagedProcess
from shared.devtools.infra.suite import Infra, start_infra
from shared.devtools.installation import Installation
from tests.full import FULL
from tests.promises.support.proxy import Proxy


def seed() -> int:
    """What all randomness of a run comes from: BEEGRID_FAULTS_SEED, else a new one. pytest shows it on failure."""
    chosen = int(os.environ.get("BEEGRID_FAULTS_SEED") or secrets.randbelow(1_000_000))
    print(f"BEEGRID_FAULTS_SEED={chosen} repeats this run's choices")
    return chosen


@contextlib.contextmanager
def own_servers() -> Iterator[tuple[Infra, Proxy]]:
    """Postgres, Kafka and Valkey that belong to these tests alone, and the proxy before Kafka's second listener."""
    named = {name: os.environ.pop(name) for name in Infra("x", "x", "x", "x", "x").environment() if name in os.environ}
    proxy = Proxy()
    try:
        # a process that is killed loses nothing that the system holds: only a machine's end needs the disk
        unsynced = {} if FULL else {"fsync": "off"}
        infra = start_infra(postgres_settings=unsynced, kafka_proxy_port=proxy.port, brief=not FULL)
    except BaseException:
        proxy.close()
        raise
    finally:
        os.environ.update(named)
    try:
        with infra:
            assert infra.kafka is not None, "these servers are our own"
            proxy.target_port = infra.kafka.proxied_port
            yield infra, proxy
    finally:
        proxy.close()


def heal(infra: Infra) -> None:
    """Every server runs again, whatever a fault has done to it."""
    for server in (infra.postgres, infra.kafka, infra.valkey):
        assert server is not None, "these servers are our own"
        revive(server)


def revive(process: ManagedProcess) -> None:
    """Resume what is paused, start what is dead."""
    if process.running:
        process.resume()
    else:
        process.start()


@contextlib.contextmanager
def installed(infra: Infra, folder: Path, services: Sequence[str]) -> Iterator[Installation]:
    """A fresh installation whose topics begin at offset 0; only these services have schemas, which saves seconds."""
    with Installation.fresh(infra, folder, "f", services) as made:
        try:
            yield made
        finally:
            heal(infra)
