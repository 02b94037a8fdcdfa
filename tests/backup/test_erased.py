"""Who left after the backup was taken is forgotten once more after a restore."""

import csv
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from rich.progress import Progress

from services.riders import store, usecases
from services.riders.domain import Refusal, Registration
from shared.cli.backup import erased, tables
from shared.cli.backup.manifest import read_manifest
from shared.cli.backup.returning import put_back
from shared.cli.backup.taking import take
from shared.cli.client import CliError
from shared.events.inbound_riders import RiderSubmission
from shared.events.personal import number_mark
from shared.kit import clock
from shared.kit.erasure import Erasure
from shared.kit.ids import new_id
from shared.kit.work import begin
from tests.backup.conftest import Home

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
        told = [_registration(number) for number in (str(left)[-12:], "r9", str(stays)[-12:])]
        async with pool.acquire() as conn, conn.transaction():
            outcomes = await usecases.register(await begin(conn), told)
        assert [isinstance(one, Refusal) and one.code for one in outcomes] == ["rider_erased", "rider_erased", False]


def _registration(number: str) -> Registration:
    body = RiderSubmission(
        external_id=number, name="王小明", kind="courier", consent_at=clock.now(), locale="zh", active=True
    )
    return usecases.registration("suda", body)


def test_a_faulty_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "erased.csv"
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([("rider_id", "number", "erased_at"), ("no-id", "x", "2026-11-23T08:00:00Z")])
    with pytest.raises(CliError, match=r"erased\.csv:2"):
        erased.read(file)
