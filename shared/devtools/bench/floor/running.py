"""Starting the floor's process on an installation of its own."""

import sys
from pathlib import Path

import orjson

from shared.devtools.bench.floor.__main__ import PUBLISHING
from shared.devtools.infra.process import ManagedProcess, ServerSpec
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT, Installation

NAME = "floor"
SERVICES = (*PUBLISHING, "notifications")


def floor_process(installation: Installation, guard: Guard, logs: Path) -> ManagedProcess:
    """The floor on the installation's database and topics, not yet started."""
    infra = installation.infra
    home = guard.temp_folder(NAME)
    ready = home / "ready"
    ready.unlink(missing_ok=True)
    given = {
        "dsn": {service: installation.dsn(service) for service in SERVICES},
        "kafka": {
            "bootstrap_servers": infra.kafka_bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": infra.kafka_admin_user,
            "sasl_plain_password": infra.kafka_admin_password,
        },
        "prefix": installation.topic_prefix,
        "ready": str(ready),
    }
    spec = ServerSpec(
        name=NAME,
        argv=[sys.executable, "-m", "shared.devtools.bench.floor"],
        home=home,
        log=logs / f"{NAME}.log",
        ready=lambda _pid: ready.exists(),
        env={
            "BEEGRID_FLOOR": orjson.dumps(given).decode(),
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        },
    )
    return ManagedProcess(spec, guard)
