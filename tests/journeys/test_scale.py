"""An operator asks for more processes of a service and for fewer again; nothing is lost on the way."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from shared.cli.client import CliError
from shared.cli.main import app
from shared.devtools import replicas
from shared.kit import clock
from shared.provision.kafka import connect_admin
from tests.journeys.conftest import COMPANY, Town
from tests.journeys.test_one_report import manhole, soon

SOON_S = 60.0
REPORTS = 40


@pytest.fixture
def operate(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Type `beegrid scale …` beside a launcher that follows it, as `make up` does."""
    folder = tmp_path / ".beegrid"
    folder.mkdir()
    town.suite.write_address(folder / "suite.json")
    monkeypatch.chdir(tmp_path)
    enough = threading.Event()

    def launcher() -> None:
        while not enough.wait(0.2):
            replicas.follow(town.suite, folder, Console(quiet=True))

    thread = threading.Thread(target=launcher)
    thread.start()
    try:
        yield lambda *words: CliRunner().invoke(app, ["scale", *words], env={"COLUMNS": "200"})
    finally:
        enough.set()
        thread.join()
        for name in [name for name, process in town.suite.services.items() if name != process.service]:
            town.suite.services.pop(name).stop()


def members(town: Town, service: str, topic: str) -> dict[str, int]:
    """Partitions of each process that reads the topic."""
    cluster = town.suite.installation.cluster
    group = f"{cluster.topic_prefix}{service}.{topic}"
    admin = connect_admin(cluster.bootstrap, cluster.admin)  # kept: without it the answer would never come
    described = admin.describe_consumer_groups([group])[group].result(20)
    return {member.member_id: len(member.assignment.topic_partitions) for member in described.members}


async def shared_by(town: Town, count: int) -> None:
    """Until so many processes of routing share the partitions of its topic."""
    deadline_s = clock.monotonic_s() + SOON_S
    while True:
        found = await asyncio.to_thread(members, town, "routing", "intake.report-received.v1")
        if len(found) == count and sum(found.values()) == 6:
            return
        assert clock.monotonic_s() < deadline_s, found
        await asyncio.sleep(0.3)


async def test_routing_runs_in_three_processes_and_in_one_again(town: Town, operate: Callable[..., Result]) -> None:
    more = await asyncio.to_thread(operate, "routing", "3")
    assert more.exit_code == 0, (more.exception, more.output)
    assert {"routing", "routing-2", "routing-3"} <= town.suite.services.keys()
    await shared_by(town, 3)
    sent = [manhole(f"scale-{n}", town.company.rider(1 + n % 15), grid_index=200 + n) for n in range(REPORTS)]
    answer = await town.door.signed(COMPANY, town.company.secret, "/v1/reports:batch", {"items": sent})
    fewer = await asyncio.to_thread(operate, "routing", "1")
    assert fewer.exit_code == 0, (fewer.exception, fewer.output)
    assert not {"routing-2", "routing-3"} & town.suite.services.keys()
    await shared_by(town, 1)
    assert answer["accepted"] == REPORTS, answer["items"]
    ids = [item["report_id"] for item in answer["items"]]
    for report_id in ids:
        path = f"/v1/tracking/reports/{report_id}"
        await soon(lambda path=path: town.door.get(path), lambda page: page["case_id"], "the report is in a case")


@pytest.mark.parametrize(
    ("words", "title"), [(("routing", "7"), "More than partitions"), (("nobody", "2"), "No such service")]
)
async def test_what_cannot_be_is_refused(
    town: Town, operate: Callable[..., Result], words: tuple[str, str], title: str
) -> None:
    done = await asyncio.to_thread(operate, *words)
    assert isinstance(done.exception, CliError) and title in done.exception.title
