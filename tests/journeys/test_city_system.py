"""A city system reads the public topic exactly as its guide says, with kcat."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
from importlib.metadata import files
from pathlib import Path

import orjson
import pytest
from confluent_kafka import KafkaException
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from shared.cli.client import CliError
from shared.cli.main import app
from shared.devtools.installation import ROOT
from shared.provision.kafka import KafkaAdmin, connect_admin
from shared.provision.topology import provision_system
from tests.journeys.conftest import Town
from tests.journeys.test_one_report import manhole

GUIDE = (ROOT / "docs/city-systems.md").read_text(encoding="utf-8")
PASSWORD = "a-word-only-kcat-knows"
TOPIC = "public.case-changed.v1"
KCAT = shutil.which("kcat")


def documented(town: Town, topic: str, *more: str) -> list[str]:
    """The guide's command with this installation's names put in; ends with the first record after 30 s at most."""
    found = re.search(r"^kcat -b .*?\n```", GUIDE, re.M | re.S)
    assert found is not None, "the guide shows a kcat command"
    words = shlex.split(found[0].removesuffix("```").replace("\\\n", " "))
    installation = town.suite.installation
    names = {
        "HOST:PORT": installation.infra.kafka_bootstrap,
        "sasl.username=system-dispatch-center": f"sasl.username={installation.user_prefix}system-dispatch-center",
        "sasl.password=…": f"sasl.password={PASSWORD}",
        f"beegrid.{TOPIC}": installation.topic_prefix + topic,
    }
    assert set(names) <= set(words), "each name of the example stands in it"
    return ["timeout", "30", *(names.get(word, word) for word in words), *more]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run kcat with the librdkafka of this environment, as the guide advises where the system's is too old."""
    library = next(f for f in files("confluent-kafka") or () if f.name.startswith("librdkafka"))
    (folder / "librdkafka.so.1").symlink_to(library.locate())
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.skipif(KCAT is None, reason="kcat isn't installed (Debian package kcat)")
async def test_the_guides_command_reads_a_case_and_the_schema_explains_it(town: Town, tmp_path: Path) -> None:
    await asyncio.to_thread(provision_system, town.suite.installation.cluster, "dispatch-center", PASSWORD)
    report = manhole("kcat-1", town.company.rider(4), grid_index=310)
    await town.door.signed(town.company.code, town.company.secret, "/v1/reports", report)
    done = await asyncio.to_thread(run, documented(town, TOPIC, "-c", "1"), tmp_path)
    assert done.returncode == 0, done.stderr
    key, headers, body = done.stdout.splitlines()[:3]
    value = orjson.loads(body)
    schema = orjson.loads((ROOT / f"shared/events/schemas/{TOPIC}.json").read_bytes())
    Draft202012Validator(schema).validate(value)
    assert key == f"key {value['case_id']}"
    assert f"ce_subject={value['case_id']}" in headers
    assert "ce_id=" in headers
    assert f"ce_type={TOPIC}" in headers


async def test_a_system_is_added_once_and_its_password_changed_only_on_purpose(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".beegrid").mkdir()
    town.suite.write_address(tmp_path / ".beegrid" / "suite.json")
    monkeypatch.chdir(tmp_path)
    cluster = town.suite.installation.cluster

    def type_in(*words: str) -> Result:
        return CliRunner().invoke(app, ["systems", *words], env={"COLUMNS": "200"})

    def let_in(said: Result) -> bool:
        found = re.search(r"user +(\S+)\s+password +(\S+)", said.output)
        assert found is not None, said.output
        try:
            connect_admin(cluster.bootstrap, KafkaAdmin(found[1], found[2]), timeout_s=5)
        except KafkaException:
            return False
        return True

    unknown = await asyncio.to_thread(type_in, "password", "records-office")
    assert isinstance(unknown.exception, CliError) and "Unknown system" in unknown.exception.title
    first = await asyncio.to_thread(type_in, "add", "records-office")
    assert await asyncio.to_thread(let_in, first)
    again = await asyncio.to_thread(type_in, "add", "records-office")
    assert isinstance(again.exception, CliError) and "nothing was changed" in again.exception.detail
    assert await asyncio.to_thread(let_in, first)
    second = await asyncio.to_thread(type_in, "password", "records-office")
    assert await asyncio.to_thread(let_in, second)
    assert not await asyncio.to_thread(let_in, first)


@pytest.mark.skipif(KCAT is None, reason="kcat isn't installed (Debian package kcat)")
async def test_the_same_user_is_refused_on_an_internal_topic(town: Town, tmp_path: Path) -> None:
    await asyncio.to_thread(provision_system, town.suite.installation.cluster, "dispatch-center", PASSWORD)
    done = await asyncio.to_thread(run, documented(town, "cases.case-changed.v1", "-c", "1"), tmp_path)
    assert done.returncode != 0
    assert "authorization failed" in done.stderr
