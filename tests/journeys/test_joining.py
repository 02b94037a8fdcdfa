"""What `companies add` and `systems add` print is enough to begin with, and `check` goes the whole way."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from services.intake.api.reports import BATCH_BYTES_MAX, REPORT_BYTES_MAX
from services.intake.domain import REPORTS_PER_REQUEST_MAX
from shared.cli import checking, joining
from shared.cli.client import CliError
from shared.cli.places import Place
from shared.provision.kafka import connect_admin, scram_users
from shared.provision.kafka_rights import has_rights
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.outside import at_the_suite, shell, type_in

KCAT = shutil.which("kcat")


@pytest.fixture
def here(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the command finds the suite, and works."""
    monkeypatch.chdir(at_the_suite(town, tmp_path))
    return tmp_path


def commands(output: str) -> tuple[str, str]:
    """The two that an operator hands on: for kcat, and for Python."""
    kcat = re.search(r"^beegrid_kafka\(\) .*?(?=\n\n)", output, re.M | re.S)
    python = re.search(r"^python3 - <<'EOF'\n.*?^EOF$", output, re.M | re.S)
    assert kcat is not None and python is not None, output
    return kcat[0], python[0]


async def test_a_check_follows_one_report_through_every_hop_and_takes_it_back(town: Town, here: Path) -> None:
    others = {one["case_id"] for one in (await town.door.get("/v1/cases", state="open", limit=500))["items"]}
    await asyncio.to_thread(type_in, "companies", "add", "checked")
    done = await asyncio.to_thread(type_in, "companies", "check", "checked")
    assert done.exit_code == 0, f"{done.output}\n{done.exception}"
    steps = [line for line in done.output.splitlines() if line.startswith(("✓", "✗"))]
    names = ("企业", "主题", "登录", "骑手", "上报", "受理", "分派", "立案", "积分", "回传", "收尾", "死信")
    assert [step.split(" s  ")[1][:2] for step in steps] == list(names), done.output
    letters = await town.door.get("/ops/intake/dead-letters", limit=1000)
    assert not [one for one in letters if "checked" in one["topic"]], "its dead letter is discarded"
    cases = (await town.door.get("/v1/cases", state="open", limit=500))["items"]
    left = [one for one in cases if one["case_id"] not in others]
    assert not [one for one in left if one["kind"] == "local-connection-test"], "its case is taken back"
    again = await asyncio.to_thread(type_in, "companies", "check", "checked")
    assert again.exit_code == 0, again.output


async def test_a_check_says_which_hops_it_did_not_see(town: Town, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # where there is no map, no grid has the report's place: as here, in the sea
    monkeypatch.setattr(checking, "place_on_the_map", lambda _client: Place(125.0, 28.0))
    await asyncio.to_thread(type_in, "companies", "add", "mapless")
    done = await asyncio.to_thread(type_in, "companies", "check", "mapless")
    assert done.exit_code == 1 and isinstance(done.exception, CliError), done.output
    assert "Not every hop was seen" in done.exception.title and "areas import" in done.exception.hint
    unseen = [line for line in done.output.splitlines() if "not seen" in line]
    assert ["立案" in unseen[0], "积分" in unseen[1]] == [True, True] and len(unseen) == 2, done.output
    assert all("no map is in force" in line for line in unseen)
    assert "✗" not in done.output and "Every hop works" not in done.output
    assert "死信" in done.output, "all that can be seen was tried"


def test_limits_over_http_are_those_of_the_routes() -> None:
    assert joining.HTTP_REPORTS_MAX == REPORTS_PER_REQUEST_MAX
    assert joining.HTTP_BATCH_BYTES_MAX == BATCH_BYTES_MAX
    assert joining.HTTP_REPORT_BYTES_MAX == REPORT_BYTES_MAX


@pytest.mark.skipif(KCAT is None, reason="kcat isn't installed (Debian package kcat)")
async def test_the_commands_that_add_prints_work_as_they_are(town: Town, here: Path) -> None:
    added = await asyncio.to_thread(type_in, "companies", "add", "pasted", "--name", "粘贴")
    assert added.exit_code == 0, added.output
    for wanted in ("inbound.pasted.reports.v1", "inbound.pasted.riders.v1", "outbound.pasted.reports.v1",
                   "inbound.pasted.reports.v1.dlq", "company-pasted.*", "zstd", "MiB", "500 reports or 6,000,000 bytes",
                   f"BEEGRID_URL={town.suite.url}", "6,000 requests a minute", "kept for good"):  # fmt: skip
        assert wanted in added.output, wanted
    assert "kept -1" not in added.output
    kcat, python = commands(added.output)
    said = await asyncio.to_thread(shell, ["bash", "-c", kcat], here)
    assert re.search(r'test-kcat .*\n.*"stage":"(accepted|routed|in_case)"', said), said
    said = await asyncio.to_thread(shell, ["bash", "-c", python], here)
    assert re.search(r"outbound\.pasted\.reports\.v1 b'test-python' .*stage", said), said


async def test_a_check_says_which_step_fails(town: Town, here: Path) -> None:
    added = await asyncio.to_thread(type_in, "companies", "add", "broken")
    password = re.search(r"password +(\S+)", added.output)
    assert password is not None
    wrong = await asyncio.to_thread(type_in, "companies", "check", "broken", password="guessed")
    assert isinstance(wrong.exception, CliError) and "doesn't let the user in" in wrong.exception.title
    right = await asyncio.to_thread(type_in, "companies", "check", "broken", password=password[1])
    assert right.exit_code == 0, right.output
    cluster = town.suite.installation.cluster
    client: AdminClient = connect_admin(cluster.bootstrap, cluster.admin)
    [gone] = client.delete_topics([f"{cluster.topic_prefix}inbound.broken.reports.v1.dlq"]).values()
    await asyncio.to_thread(gone.result)
    missing = await asyncio.to_thread(type_in, "companies", "check", "broken")
    assert isinstance(missing.exception, CliError) and "Topics are missing" in missing.exception.title
    assert "✗" in missing.output and "登录" not in missing.output
    await town.door.put("/v1/companies/broken", {"name": "broken", "active": False})
    suspended = await asyncio.to_thread(type_in, "companies", "check", "broken")
    assert isinstance(suspended.exception, CliError) and "suspended" in suspended.exception.title


async def test_a_system_reads_one_record_and_the_lent_user_is_of_no_use_afterwards(town: Town, here: Path) -> None:
    await asyncio.to_thread(type_in, "companies", "add", "for-systems")
    await asyncio.to_thread(type_in, "companies", "check", "for-systems")
    added = await asyncio.to_thread(type_in, "systems", "add", "watcher")
    assert "kcat" in added.output and "system-watcher.*" in added.output

    async def checked() -> str:
        done = await asyncio.to_thread(type_in, "systems", "check", "watcher")
        assert done.exit_code == 0, f"{done.output}\n{done.exception}"
        return done.output

    said = await soon(checked, lambda output: "bytes" in output, "one record is read")
    assert "case_id" in said
    cluster = town.suite.installation.cluster
    names = scram_users(connect_admin(cluster.bootstrap, cluster.admin))
    lent = f"{cluster.user_prefix}system-watcher.check"
    assert lent in names, "users are never deleted"
    assert not has_rights(connect_admin(cluster.bootstrap, cluster.admin), lent)
    keys = await asyncio.to_thread(type_in, "keys", "list")
    assert "system-watcher" in keys.output and "watcher.check" not in keys.output


async def test_all_riders_of_a_sandbox_are_erased_with_one_command(town: Town, here: Path) -> None:
    await asyncio.to_thread(type_in, "companies", "add", "sandbox")
    await asyncio.to_thread(type_in, "companies", "check", "sandbox")
    preview = await asyncio.to_thread(type_in, "riders", "erase", "--company", "sandbox", "--all")
    assert "Would erase 1 riders" in preview.output
    assert len((await town.door.get("/v1/companies/sandbox/riders"))["items"]) == 1
    done = await asyncio.to_thread(type_in, "riders", "erase", "--company", "sandbox", "--all", "--apply")
    assert done.exit_code == 0, done.output
    assert (await town.door.get("/v1/companies/sandbox/riders"))["items"] == []
    nobody = await asyncio.to_thread(type_in, "riders", "erase", "--all", "--apply")
    assert isinstance(nobody.exception, CliError)
