"""The set-up job on real servers: from nothing to running services' rights, and again without a change."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.suite import Infra
from shared.kit import clock
from shared.provision.await_schema import missing_versions, wait
from shared.provision.postgres import database_url
from shared.provision.services import service_names
from shared.provision.setup import EXIT_MISCONFIGURED, MissingPasswords, SetupSettings, read_passwords, set_up


def passwords(folder: Path) -> None:
    """As a mounted Secret has them: a file each, with a newline from whoever wrote it."""
    for service in service_names():
        for use in ("owner", "app", "kafka"):
            (folder / f"{service}_{use}").write_text(f"{service}-{use}\n")


def settings(infra: Infra, folder: Path) -> SetupSettings:
    return SetupSettings(
        postgres_admin_url=infra.postgres_admin_url,
        postgres_database="setup_test",
        kafka_bootstrap=infra.kafka_bootstrap,
        kafka_admin_user=infra.kafka_admin_user,
        kafka_admin_password=infra.kafka_admin_password,
        kafka_security="SASL_PLAINTEXT",
        kafka_replication_factor=1,
        topic_prefix="setup.",
        passwords_folder=folder,
        setup_wait_s=30,
    )


def test_it_makes_everything_and_then_nothing_more(own_infra: Infra, tmp_path: Path) -> None:
    passwords(tmp_path)
    dsn = database_url(own_infra.postgres_admin_url, "setup_test", "cases_app", "cases-app")
    lines: list[str] = []
    set_up(settings(own_infra, tmp_path), {}, lines.append)
    assert any(line.startswith("cases: 0000") for line in lines), lines
    assert asyncio.run(wait(dsn, "cases", 0)) == ""
    again: list[str] = []
    set_up(settings(own_infra, tmp_path), {}, again.append)
    assert [line for line in again if "up to date" not in line] == [
        f"Postgres: {len(service_names())} schemas with their roles in setup_test",
        "Kafka: 0 topics created, 0 changed, 0 rights given, 0 taken away",
    ]


def test_pods_of_a_newer_version_wait(own_infra: Infra, tmp_path: Path) -> None:
    passwords(tmp_path)
    set_up(settings(own_infra, tmp_path), {}, lambda _: None)
    dsn = database_url(own_infra.postgres_admin_url, "setup_test", "points_app", "points-app")

    async def forget_last() -> str:
        owner = database_url(own_infra.postgres_admin_url, "setup_test", "points_owner", "points-owner")
        connection = await asyncpg.connect(owner)
        try:
            row = await connection.fetchrow(
                "DELETE FROM points.schema_migrations WHERE version = "
                "(SELECT max(version) FROM points.schema_migrations) RETURNING version"
            )
            assert row is not None
            return str(row["version"])
        finally:
            await connection.close()

    last = asyncio.run(forget_last())
    assert asyncio.run(missing_versions(dsn, "points")) == {last}
    assert last in asyncio.run(wait(dsn, "points", 0))


def test_all_missing_passwords_are_named() -> None:
    with pytest.raises(MissingPasswords, match=r"BEEGRID_PASSWORD_CASES_OWNER, .*BEEGRID_PASSWORD_TRACKING_KAFKA"):
        read_passwords({}, None, postgres=True, kafka=True)


def test_the_program_names_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.provision.setup"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "BEEGRID_POSTGRES_ADMIN_URL": "postgresql://nobody@127.0.0.1:1/x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_MISCONFIGURED
    assert "BEEGRID_PASSWORD_CASES_APP" in done.stderr


@pytest.mark.parametrize("server", ["kafka", "postgres"])
def test_a_wrong_password_ends_it_at_once_with_the_reason(infra: Infra, server: str) -> None:
    environment = {
        **os.environ,
        "BEEGRID_KAFKA_BOOTSTRAP": infra.kafka_bootstrap,
        "BEEGRID_KAFKA_ADMIN_USER": infra.kafka_admin_user,
        "BEEGRID_KAFKA_ADMIN_PASSWORD": "wrong",
    }
    # with Postgres alone: all services' roles are the cluster's, and would get these passwords
    if server == "postgres":
        environment["BEEGRID_POSTGRES_ADMIN_URL"] = re.sub(r"(://[^@/]*)@", r"\1x@", infra.postgres_admin_url)
    environment |= {
        f"BEEGRID_PASSWORD_{service}_{use}".upper(): "x"
        for service in service_names()
        for use in ("owner", "app", "kafka")
    }
    began_s = clock.monotonic_s()
    done = subprocess.run(
        [sys.executable, "-m", "shared.provision.setup"],
        env=environment, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == EXIT_MISCONFIGURED, done.stderr
    assert "refuses" in done.stderr
    assert server.upper() in done.stderr
    assert "Traceback" not in done.stderr
    assert clock.monotonic_s() - began_s < 20
