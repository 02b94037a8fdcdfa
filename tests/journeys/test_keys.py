"""Keys are exchanged while the suite works: the old one is good for the overlap, then refused."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from typer.testing import CliRunner

from shared.cli import sealing
from shared.cli.client import Client
from shared.cli.main import app
from shared.devtools.suite import ServiceProcess, Suite
from shared.kit import clock
from shared.provision.kafka import KafkaAdmin, connect_admin
from shared.provision.topology import provision_company
from shared.synthetic.door import DoorError
from tests.asking import soon
from tests.journeys.conftest import COMPANY, Town


@pytest.fixture
def operate(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[str]]:
    """Type `beegrid keys …` beside the suite's file; what it says."""
    (tmp_path / ".beegrid").mkdir()
    town.suite.write_address(tmp_path / ".beegrid" / "suite.json")
    monkeypatch.chdir(tmp_path)

    async def run(*words: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, app, ["keys", *words], env={"COLUMNS": "200"})
        assert done.exit_code == 0, (done.exception, done.output)
        return done.output

    return run


async def accepted(town: Town, secret: bytes) -> bool:
    """Whether the suite takes a request that is signed so."""
    try:
        await town.door.signed(COMPANY, secret, "/v1/riders:batch", {"items": []})
    except DoorError as refused:
        if " 401 " in str(refused):
            return False
        if " 422 " not in str(refused):  # it was the company's own, though there is nobody in it
            raise
    return True


async def test_a_rotated_signing_key_is_good_for_a_while(town: Town, operate: Callable[..., Awaitable[str]]) -> None:
    old = town.company.secret
    overlap_s = 10
    began_s = clock.monotonic_s()
    said = await operate("rotate", "signing", COMPANY, "--overlap-hours", str(overlap_s / 3600))
    found = re.search(r"whsec_(\S+)", said)
    assert found is not None and "UTC" in said
    new = base64.b64decode(found[1])
    try:
        await soon(lambda: accepted(town, new), bool, "the new key is good")
        assert await accepted(town, old), "the old key is good for the overlap"
        assert clock.monotonic_s() < began_s + overlap_s, "this machine is too slow for the overlap"
        assert "refused after" in await operate("list")

        async def refused() -> bool:
            return not await accepted(town, old)

        await soon(refused, bool, "the old key is refused after the overlap")
        assert clock.monotonic_s() > began_s + overlap_s
        assert await accepted(town, new)
        assert found[1] not in await operate("list")
    finally:
        town.company.secret = new


async def test_a_rotated_kafka_password_lets_both_users_in(town: Town, operate: Callable[..., Awaitable[str]]) -> None:
    cluster = town.suite.installation.cluster

    def let_in(user: str, password: str) -> bool:
        try:
            connect_admin(cluster.bootstrap, KafkaAdmin(user, password), timeout_s=5)
        except KafkaException:
            return False
        return True

    first = f"{cluster.user_prefix}company-{COMPANY}"
    said = await operate("rotate", "kafka", COMPANY)
    second, password = f"{first}.2", said.splitlines()[1].strip()
    assert second in said
    with pytest.raises(AssertionError, match="The last rotation is not over"):
        await operate("rotate", "kafka", COMPANY)
    try:
        await both_then_one(town, operate, let_in, (first, second), password)
    finally:
        provision_company(cluster, COMPANY, town.company.kafka_password)


async def both_then_one(
    town: Town,
    operate: Callable[..., Awaitable[str]],
    let_in: Callable[[str, str], bool],
    users: tuple[str, str],
    password: str,
) -> None:
    """The overlap, and its end."""
    first, second = users
    assert await asyncio.to_thread(let_in, first, town.company.kafka_password)
    assert await asyncio.to_thread(let_in, second, password)
    assert "Would end" in await operate("end-kafka", COMPANY, first)
    assert await asyncio.to_thread(let_in, first, town.company.kafka_password)
    await operate("end-kafka", COMPANY, first, "--apply")
    assert not await asyncio.to_thread(let_in, first, town.company.kafka_password)
    assert await asyncio.to_thread(let_in, second, password)


async def test_the_sealing_key_is_exchanged_and_the_new_one_alone_is_enough(
    town: Town, operate: Callable[..., Awaitable[str]]
) -> None:
    suite, secret = town.suite, town.company.secret
    former = suite.installation.secrets.sealing_key
    lines = []
    for restart in (True, True, False, True):
        lines.append((await operate("rotate", "sealing", "--apply")).splitlines()[0])
        if restart:
            await asyncio.to_thread(restart_with_stored_key, suite)
        assert await accepted(town, secret), f"a company is served after {lines[-1]}"
    assert [line[:3] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    now = suite.installation.secrets.sealing_key
    assert "," not in now and now != former
    found = sealing.ask(Client(suite.url, suite.operator_token()))
    assert all(answer["unknown"] == 0 and len(answer["sealing"]) == 1 for answer in found.values())
    assert found["riders"]["sealing"][0]["secrets"] >= 1 and found["intake"]["sealing"][0]["secrets"] >= 1


def restart_with_stored_key(suite: Suite) -> None:
    """What `make up` does: all services again, with the key that the command has written."""
    key = json.loads((suite.installation.folder / "secrets.json").read_text())["sealing_key"]
    suite.installation.secrets.sealing_key = key

    def restart(process: ServiceProcess) -> None:
        process.stop()
        process.spec = replace(process.spec, env={**process.spec.env, "BEEGRID_SEALING_KEY": key})
        process.start()

    with ThreadPoolExecutor(max_workers=4) as threads:
        list(threads.map(restart, suite.services.values()))


async def test_every_key_is_listed_and_no_secret(town: Town, operate: Callable[..., Awaitable[str]]) -> None:
    said = await operate("list")
    setting = town.suite.installation.secrets.sealing_key
    assert setting not in said
    assert re.search(r"sealing.*seals; [1-9]\d* secrets are under it", said), said
    assert "identity provider" in said
    assert f"company-{COMPANY}" in said
