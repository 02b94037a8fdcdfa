"""Points posted in batches of 200, as points does it, against one transaction for each: postings a second of both.

Both write the same rows: a hold, an entry, a balance, an event. The one that goes one by one is the design that one
would begin with: lock, insert, insert, update, insert.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from shared.devtools.bench.floor.hops import part
from shared.devtools.bench.load import COMPANY, settle_riders
from shared.devtools.installation import Installation
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import begin, insert_outbox
from shared.kit.postgres.db import Connection, prepare_connection

BATCH = 200
AMOUNT = 5
KIND = "part-01001"
RULE = "1/catalogue"
"""As holds name it: the shipped set's."""
SQL_ACCOUNT = "SELECT version, pending, available FROM accounts WHERE rider_id = $1 FOR NO KEY UPDATE"
SQL_HOLD = """
INSERT INTO holds (id, source, rider_id, case_id, kind, amount, state, company, made_at, ordinal)
VALUES ($1, 'report', $2, $3, $4, $5, 'held', $6, now(), 1)
"""
SQL_ENTRY = """
INSERT INTO entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account, amount, made_at)
VALUES ($1, $2, 0, $3, $4, 'held', 'issuance', 'pending', $5, now())
"""
SQL_BALANCE = "UPDATE accounts SET version = $2, pending = $3 WHERE rider_id = $1 AND version = $4"
SQL_EVENT = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload) VALUES ($1, $2, $3, $4, now(), $5)
"""


async def postings(installation: Installation, rider_ids: Sequence[UUID], singles: int) -> dict[str, float]:
    """Hold points for each rider but the last `singles` in batches, then for those one by one; postings a second of
    both on one connection.

    Nobody else may work in the schema: what is queued there is removed again. Raises what Postgres raises.
    """
    await settle_riders(installation, rider_ids)
    conn = await asyncpg.connect(installation.dsn("points"))
    try:
        await prepare_connection(conn)
        batched, single = rider_ids[:-singles], rider_ids[-singles:]
        for one in (batched[:BATCH], batched[BATCH : 2 * BATCH]):
            await in_one(conn, one)
        began_s = clock.monotonic_s()
        for start in range(2 * BATCH, len(batched), BATCH):
            await in_one(conn, batched[start : start + BATCH])
        middle_s = clock.monotonic_s()
        for rider_id in single:
            await _single(conn, rider_id)
        ended_s = clock.monotonic_s()
        await conn.execute("DELETE FROM outbox")
    finally:
        await conn.close()
    in_batches, one_by_one = (len(batched) - 2 * BATCH) / (middle_s - began_s), len(single) / (ended_s - middle_s)
    return {
        "ratio_to_single": round(in_batches / one_by_one, 2),
        "per_second": round(in_batches),
        "single_per_second": round(one_by_one),
    }


async def in_one(conn: Connection, rider_ids: Sequence[UUID], *, post: bool = False) -> None:
    """A report of each, held (and posted) in one transaction by the ledger's own book, and its event for each movement.

    A rider may be there more than once.
    """
    domain, ledger, usecases = part("points", "domain"), part("points", "store.ledger"), part("points", "usecases")
    async with conn.transaction():
        work = await begin(conn)
        today = work.now.date()
        holds = [(new_id(), new_id(), rider_id) for rider_id in rider_ids]
        days = {(rider_id, today) for rider_id in rider_ids}
        book = await ledger.open_book(conn, set(rider_ids), {hold_id for hold_id, _, _ in holds}, days)
        for cause, (hold_id, case_id, rider_id) in enumerate(holds):
            claim: Any = domain.Claim(hold_id, rider_id, case_id, KIND, AMOUNT, today, None, RULE, 1, COMPANY)
            book.earn(claim, cause)
            if post:
                book.post(hold_id, cause)
        await usecases.save(work, book, [usecases.Cause(None, None, work.now)] * len(holds))
        await insert_outbox(conn, work.rows)


async def _single(conn: Connection, rider_id: UUID) -> None:
    """Five statements."""
    async with conn.transaction():
        row = await conn.fetchrow(SQL_ACCOUNT, rider_id)
        assert row is not None  # its row has just been made
        version, pending, available = row
        hold_id, entry_id, case_id = new_id(), new_id(), new_id()
        await conn.execute(SQL_HOLD, hold_id, rider_id, case_id, KIND, AMOUNT, COMPANY)
        await conn.execute(SQL_ENTRY, rider_id, version + 1, entry_id, hold_id, AMOUNT)
        await conn.execute(SQL_BALANCE, rider_id, version + 1, pending + AMOUNT, version)
        body = AccountChanged(
            rider_id=rider_id, entry_id=entry_id, movement="held", source="report", source_id=hold_id,
            case_id=case_id, company=COMPANY, amount=AMOUNT, pending=pending + AMOUNT, available=available,
            changed_at=clock.now(),
        )  # fmt: skip
        payload = body.model_dump_json().encode()
        await conn.execute(SQL_EVENT, new_id(), ACCOUNT_CHANGED.name, str(rider_id), version + 1, payload)
