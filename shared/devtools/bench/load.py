"""What the benchmark puts in: riders, and reports committed straight into intake's outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import OutboxRow, insert_outbox
from shared.kit.postgres.db import Pool
from shared.synthetic.pace import paced
from shared.synthetic.reports import spread

COMPANY = "bench"
WARM = 3_000
"""Events that a side takes before it is measured."""
TEXT = "井盖破损，影响骑行，请尽快处理"


@dataclass(frozen=True)
class Sent:
    """One report of a paced run and the moment before its commit, in seconds since 1970."""

    rider_id: UUID
    report_id: UUID
    at_s: float


def riders(count: int) -> list[UUID]:
    """New rider ids."""
    return [new_id() for _ in range(count)]


KNOWN_COLUMNS = ("rider_id", "company", "locale", "consent", "active", "version")
KNOWN = (COMPANY, "zh", True, True, 1)


async def settle_riders(installation: Installation, rider_ids: Sequence[UUID]) -> None:
    """Let the services know riders, as if the riders service had said so and each had heard it long ago.

    By rows and not by events: they stand before anything is measured, and the floor hears of no riders.
    """
    for service, table, columns, values in (
        ("points", "accounts", ("rider_id",), ()),
        ("points", "known_riders", KNOWN_COLUMNS, KNOWN),
        ("notifications", "known_riders", KNOWN_COLUMNS, KNOWN),
    ):
        conn = await asyncpg.connect(installation.dsn(service))
        try:
            for start in range(0, len(rider_ids), 5_000):
                rows = [(rider_id, *values) for rider_id in rider_ids[start : start + 5_000]]
                await conn.copy_records_to_table(table, records=rows, columns=columns)
        finally:
            await conn.close()


def reports(rider_ids: Sequence[UUID], seed: int) -> list[OutboxRow]:
    """One report a rider, spread over the city so that nearly each becomes a case of its own."""
    now = clock.now()
    rows = []
    for rider_id, ((kind, level), place) in zip(rider_ids, spread(len(rider_ids), seed), strict=True):
        body = ReportReceived.model_construct(
            report_id=new_id(), rider_id=rider_id, company=COMPANY, external_id=str(rider_id), kind=kind, level=level,
            lng=place.lng, lat=place.lat, accuracy_m=5.0, text=TEXT, photos=(),
            occurred_at=now, received_at=now,
        )  # fmt: skip
        payload = body.model_dump_json().encode()
        rows.append(OutboxRow(new_id(), REPORT_RECEIVED.name, str(body.report_id), 1, now, None, payload))
    return rows


async def commit_at_once(pool: Pool, rows: Sequence[OutboxRow]) -> float:
    """All rows in one transaction; returns the moment before its commit, in seconds since 1970."""
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        for start in range(0, len(rows), 5_000):
            await insert_outbox(conn, rows[start : start + 5_000])
        at_s = clock.unix_s()
        await transaction.commit()
    return at_s


async def commit_paced(
    pool: Pool, rows: Sequence[OutboxRow], per_second: float, rider_ids: Sequence[UUID]
) -> list[Sent]:
    """Rows at a steady rate, a few every 20 ms; what is late is sent at once, never left out."""
    sent: list[Sent] = []
    async for part in paced(zip(rider_ids, rows, strict=True), per_second):
        at_s = clock.unix_s()
        async with pool.acquire() as conn:
            await insert_outbox(conn, [row for _, row in part])
        sent += [Sent(rider_id, UUID(row.key), at_s) for rider_id, row in part]
    return sent
