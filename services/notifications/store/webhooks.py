"""Companies' webhooks."""

from datetime import datetime
from uuid import UUID

from services.notifications.domain import Webhook
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one

SQL_ACTIVE = """
SELECT w.company, w.webhook_id FROM webhooks w LEFT JOIN known_companies c ON c.code = w.company
WHERE w.active AND c.active IS NOT FALSE
"""
SQL_WEBHOOK = Query(Webhook, f"SELECT {columns(Webhook)} FROM webhooks WHERE company = $1")
SQL_WEBHOOK_LOCK = Query(Webhook, f"SELECT {columns(Webhook)} FROM webhooks WHERE company = $1 FOR UPDATE")
SQL_WEBHOOKS = Query(Webhook, f"SELECT {columns(Webhook)} FROM webhooks WHERE company > $1 ORDER BY company LIMIT $2")
SQL_WEBHOOKS_BY_ID = Query(Webhook, f"SELECT {columns(Webhook)} FROM webhooks WHERE webhook_id = ANY ($1::uuid[])")
SQL_ADD_WEBHOOK = """
INSERT INTO webhooks (company, webhook_id, url, sealed, version, updated_at) VALUES ($1, $2, $3, $4, 1, $5)
ON CONFLICT DO NOTHING RETURNING company
"""
# Setting a URL proves nothing: the same one stays as it is, another one, or one that was off, is probed soon.
SQL_SET_WEBHOOK = """
UPDATE webhooks
SET url = $2, sealed = $3, sealed_previous = $4, previous_until = $5, active = true,
    failures = CASE WHEN url = $2 THEN failures ELSE least(failures, 1) END,
    paused_until = CASE WHEN url = $2 AND active THEN paused_until ELSE least(paused_until, $7) END,
    version = version + 1, updated_at = $6
WHERE company = $1
"""
SQL_PROBE_SOON = """
UPDATE webhooks SET paused_until = $2 WHERE webhook_id = $1 AND failures > 0 AND paused_until > $2
"""
SQL_PROBE_PUT_OFF = """
UPDATE webhooks SET paused_until = $2 WHERE webhook_id = $1 AND failures = $3 AND failures > 0 AND paused_until > $2
"""
SQL_RECOVERED = """
UPDATE webhooks SET failures = 0, paused_until = '-infinity' WHERE webhook_id = $1 AND failures > 0
"""
# Several deliveries that were under way together are one failure: the count rises once a pause.
SQL_FAILED = """
UPDATE webhooks SET failures = failures + 1, paused_until = greatest(paused_until, $2)
WHERE webhook_id = $1 AND failures = $3
"""
SQL_SWITCH_OFF = "UPDATE webhooks SET active = false, version = version + 1, updated_at = $2 WHERE webhook_id = $1"
SQL_DELIVERY_FIGURES = """
SELECT split_part(label, ' ', 1)::uuid AS target_id, split_part(label, ' ', 2) AS state, sum(n)::bigint AS n
FROM counters WHERE what = 'webhook_deliveries' AND label = ANY ($1::text[]) GROUP BY label HAVING sum(n) <> 0
"""
UNSENT = ("pending", "failed", "dead")


async def active_by_company(conn: Connection) -> dict[str, UUID]:
    """Webhook ids by company, of all that are to be notified."""
    return {row["company"]: row["webhook_id"] for row in await conn.fetch(SQL_ACTIVE)}


async def webhook(conn: Connection, company: str, *, lock: bool = False) -> Webhook | None:
    """One company's webhook; `lock` keeps it until the transaction's end."""
    return await one(conn, SQL_WEBHOOK_LOCK if lock else SQL_WEBHOOK, company)


async def webhooks(conn: Connection, after: str, limit: int) -> list[Webhook]:
    """All companies' webhooks by company code."""
    return await many(conn, SQL_WEBHOOKS, after, limit)


async def by_id(conn: Connection, webhook_ids: list[UUID]) -> dict[UUID, Webhook]:
    """Webhooks by their ids."""
    return {found.webhook_id: found for found in await many(conn, SQL_WEBHOOKS_BY_ID, webhook_ids)}


async def add(conn: Connection, company: str, webhook_id: UUID, url: str, sealed: str, now: datetime) -> bool:
    """False: the company has one already."""
    return await conn.fetchval(SQL_ADD_WEBHOOK, company, webhook_id, url, sealed, now) is not None


async def change(
    conn: Connection,
    company: str,
    url: str,
    sealed: str,
    previous: tuple[str, datetime] | None,
    now: datetime,
    probe_at: datetime,
) -> None:
    """Set URL and secrets; the webhook is on again if it was off. `probe_at`: when it is tried next, if it failed."""
    old, until = previous or (None, None)
    await conn.execute(SQL_SET_WEBHOOK, company, url, sealed, old, until, now, probe_at)


async def probe_soon(conn: Connection, webhook_id: UUID, at: datetime) -> None:
    """If it fails, try it at `at` and no later."""
    await conn.execute(SQL_PROBE_SOON, webhook_id, at)


async def probe_put_off(conn: Connection, webhook_id: UUID, failures_before: int, at: datetime) -> None:
    """The probe that was claimed wasn't made: the next one may be at `at`. `failures_before`: what it started from."""
    await conn.execute(SQL_PROBE_PUT_OFF, webhook_id, at, failures_before)


async def recovered(conn: Connection, webhook_id: UUID) -> None:
    """It has taken a delivery."""
    await conn.execute(SQL_RECOVERED, webhook_id)


async def failed(conn: Connection, webhook_id: UUID, failures_before: int, paused_until: datetime) -> None:
    """It hasn't. `failures_before`: what the attempt started from."""
    await conn.execute(SQL_FAILED, webhook_id, paused_until, failures_before)


async def switch_off(conn: Connection, webhook_id: UUID, now: datetime) -> None:
    """The receiver wants no more."""
    await conn.execute(SQL_SWITCH_OFF, webhook_id, now)


async def figures(conn: Connection, webhook_ids: list[UUID]) -> dict[UUID, dict[str, int]]:
    """Unsent deliveries by state for each webhook, as kept."""
    found: dict[UUID, dict[str, int]] = {one: {} for one in webhook_ids}
    labels = [f"{one} {state}" for one in webhook_ids for state in UNSENT]
    for row in await conn.fetch(SQL_DELIVERY_FIGURES, labels):
        found[row["target_id"]][row["state"]] = row["n"]
    return found
