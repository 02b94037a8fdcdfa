"""Who left after the backup was taken is forgotten once more after a restore."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from rich.progress import Progress

from services.riders import store, usecases
from services.riders.domain import Refusal, Registration
from shared.cli.backup import commands, erased, tables
from shared.cli.backup.manifest import read_manifest
from shared.cli.backup.returning import put_back
from shared.cli.backup.taking import take
from shared.cli.client import CliError
from shared.events.inbound_riders import RiderSubmission
from shared.events.personal import number_mark
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import begin
from shared.kit.privacy.erasure import Erasure
from tests.tools.backup.conftest import Home

ROW = "{},{},2026-11-23T08:00:00Z\n"
LINE = "rider_id,number,erased_at\n" + ROW
COMPANY = "INSERT INTO riders.companies VALUES (gen_random_uuid(), 'suda', 's', true, 1, now(), now())"
RIDER = "SELECT external_id, active, consent_at, erased_at FROM riders WHERE rider_id = $1"


async def _riders(home: Home, *ids: UUID) -> None:
    async with tables.connected(home.places.postgres_url) as conn:
        await conn.execute(
            "INSERT INTO riders.companies VALUES (gen_random_uuid(), 'suda', 's', true, 1, now(), now())"
        )
        for rider in ids:
            await conn.execute(
                "INSERT INTO riders.riders (rider_id, company, external_id, kind, consent_at, locale, active, version, "
                "created_at, changed_at) VALUES ($1, 'suda', $2, 'courier', now(), 'zh', true, 1, now(), now())",
                rider, str(rider)[-12:],
            )  # fmt: skip
            await conn.execute("INSERT INTO riders.rider_names VALUES ($1, '金雀')", rider)


async def test_who_has_left_since_is_not_back(new_home: Callable[[], Home], tmp_path: Path, quiet: Progress) -> None:
    source, target, folder, file = new_home(), new_home(), tmp_path / "backup", tmp_path / "erased.csv"
    folder.mkdir()
    left, stays, joined_later = new_id(), new_id(), new_id()
    await _riders(source, left, stays)
    await take(source.places, folder, quiet)
    mark = number_mark("suda", str(left)[-12:])
    file.write_text(LINE.format(left, mark) + ROW.format(joined_later, number_mark("suda", "r9")), encoding="utf-8")

    await put_back(target.places, folder, read_manifest(folder), quiet, erased.read(file))
    for service in target.installation.services:
        async with asyncpg.create_pool(target.installation.dsn(service), min_size=1, max_size=2) as pool:
            listed = await pool.fetch("SELECT rider_id, done_at FROM erased_riders")
            assert {tuple(row) for row in listed} == {(left, None), (joined_later, None)}, service
    async with asyncpg.create_pool(target.installation.dsn("riders"), min_size=1, max_size=2) as pool:
        # what every service does by itself once it runs
        assert await Erasure(lambda: pool, 0.0, store.forget, None).settle() == 2
        assert [row[0] for row in await pool.fetch("SELECT rider_id FROM rider_names")] == [stays]
        row = await pool.fetchrow(
            "SELECT external_id, active, consent_at, erased_at FROM riders WHERE rider_id = $1", left
        )
        assert row is not None and (row[0], row[1], row[2]) == (mark, False, None) and row[3] is not None
        # the companies' lists of the next night
        sent = [_registration(number) for number in (str(left)[-12:], "r9", str(stays)[-12:])]
        async with pool.acquire() as conn, conn.transaction():
            outcomes = await usecases.register(await begin(conn), sent)
        assert [isinstance(one, Refusal) and one.code for one in outcomes] == ["rider_erased", "rider_erased", False]


def _registration(number: str) -> Registration:
    body = RiderSubmission(
        external_id=number, name="王小明", kind="courier", consent_at=clock.now(), locale="zh", active=True
    )
    return usecases.registration("suda", body)


GOOD = (str(UUID(int=1)), number_mark("suda", "r1"), "2026-11-23T08:00:00Z")
HEADER = "rider_id,number,erased_at"


def _line(**changes: str) -> str:
    return ",".join(({"rider_id": GOOD[0], "number": GOOD[1], "erased_at": GOOD[2]} | changes).values())


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "erased.csv:1: no column rider_id, number, erased_at"),
        ("id,lng\n", "erased.csv:1: no column rider_id, number, erased_at"),
        (f"id,lng\n{_line()}\n", "erased.csv:1: no column"),
        (f"{HEADER}\n{_line()}\n{GOOD[0][:20]}", "erased.csv:3: "),
        (f"{HEADER}\n{_line(rider_id='no-id')}\n", "erased.csv:2: "),
        (f"{HEADER}\n{_line(number='erased:0')}\n", "erased.csv:2: the number is no mark"),
        (f"{HEADER}\n{_line(erased_at='2026-11-23T08:00:00')}\n", "erased.csv:2: erased_at has no zone"),
        (f"{HEADER}\n{_line()}\n{_line()}\n", "erased.csv:3: .* stands in line 2 already"),
        (f"{HEADER}\n", "whoever left after the backup would be back"),
        (f"{HEADER}\n,,\n", "whoever left after the backup would be back"),
    ],
    ids=[
        "0 bytes", "another header", "another header with rows", "cut in a line", "no id", "no mark", "no zone",
        "a rider twice", "no rows", "a row of commas",
    ],
)  # fmt: skip
def test_what_is_no_whole_list_is_refused(tmp_path: Path, text: str, detail: str) -> None:
    file = tmp_path / "erased.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CliError) as refused:
        erased.read(file)
    assert re.search(detail, refused.value.detail)


def test_a_list_may_be_empty_where_somebody_says_so(tmp_path: Path) -> None:
    file = tmp_path / "erased.csv"
    file.write_text(f"{HEADER}\n", encoding="utf-8")
    assert erased.read(file, may_be_empty=True) == []
    file.write_text("", encoding="utf-8")
    with pytest.raises(CliError, match="no column"):
        erased.read(file, may_be_empty=True)


def test_a_whole_list_is_read(tmp_path: Path) -> None:
    file = tmp_path / "erased.csv"
    file.write_text(f"\ufeff{HEADER}\r\n{_line()}\r\n,,\r\n", encoding="utf-8")
    (one,) = erased.read(file)
    assert (str(one.rider_id), one.number, one.erased_at.isoformat()) == (*GOOD[:2], "2026-11-23T08:00:00+00:00")


@pytest.mark.parametrize("number", [0, 2])
def test_how_many_were_entered_is_said(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    commands._say_of_erased(Path("x"), number, entered=True)
    assert f"entered: {number};" in capsys.readouterr().out
