"""The relay: moves committed events from the outbox to Kafka, in the order of their ids, at least once.

One relay at a time per schema, held by a session advisory lock on a connection of its own. A round reads the oldest
rows, as many as fit into a number and a number of bytes, sends them as whole batches per partition, and deletes exactly
those that Kafka has acknowledged. A crash between acknowledgement and delete repeats events; readers drop them by event
id. What Kafka refuses is set aside with what waits behind it (shared/kit/publishing/holds.py).

Why a paused former leader does no harm: it sends only rows that were unpublished when it read them, from the oldest
on. Whoever leads now has sent, or will send, the same rows in the same order; so what arrives late repeats event ids,
and the first occurrences of each key stay in order. docs/adr tells the whole argument.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from shared.kit import clock, metrics
from shared.kit.postgres.db import CONNECT_TIMEOUT_S, Connection, is_transient
from shared.kit.publishing.backlog import Backlog
from shared.kit.publishing.holds import SHARE_ROWS, SQL_HELD_ROWS, Holds
from shared.kit.publishing.sending import RelayError, Row, Sender, Sent
from shared.kit.settings import KitSettings

log = structlog.get_logger(__name__)

ROWS_PER_ROUND = 2_000
BYTES_PER_ROUND = 8 * 1024 * 1024
POLL_S = 0.02
# For this long after something was there, or was announced, each commit of another process is found by polling.
ALERT_S = 1.0
# After that other processes announce their commits; polling finds what one that died in between has not announced.
IDLE_POLL_S = 1.0
LEADER_RETRY_S = 0.5
GAUGE_EVERY_S = 1.0
IDLE_GAUGE_EVERY_S = 5.0
HELD_POLL_S = 0.25
SESSIONS = 1
"""Of each process with the database, beside its pool: a lock that a session holds can't travel through a pool."""
# The leader says each second how much waits; where nobody has for so long, each process looks for itself.
STATE_OLD_S = 10.0

SQL_TRY_LEAD = "SELECT pg_try_advisory_lock(hashtextextended('beegrid-relay:' || current_schema(), 0))"
# Above $1, and in the gaps below it ($2 to $3): see backlog.py. At most $4 rows, and $5 bytes but for the last. The
# inner LIMIT keeps the planner from walking through the whole outbox and asking of each row whether a gap has it.
SQL_OLDEST = """
SELECT id, event_id, topic, key, record_key, version, occurred_at, traceparent, headers, payload,
       bytes_before + size AS bytes
FROM (
    SELECT *, sum(size) OVER (ORDER BY id) - size AS bytes_before FROM (
        SELECT *, COALESCE(octet_length(payload), 0) + COALESCE(octet_length(headers), 0)
            + COALESCE(octet_length(record_key), 0) AS size FROM (
            (SELECT * FROM outbox WHERE id > $1 ORDER BY id LIMIT $4)
            UNION ALL
            (SELECT o.* FROM unnest($2::bigint[], $3::bigint[]) AS gap (low, high)
             CROSS JOIN LATERAL (SELECT * FROM outbox WHERE id BETWEEN gap.low AND gap.high ORDER BY id LIMIT $4) o
             ORDER BY o.id LIMIT $4)
        ) waiting ORDER BY id LIMIT $4
    ) oldest
) sized WHERE bytes_before < $5 ORDER BY id
"""
# By a process that doesn't lead, after its commit and never in it: a commit that announces waits for all others.
SQL_ANNOUNCE = "SELECT pg_notify($1, '')"
SQL_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
# Few rows are counted; of many a sample of 20 places, for nobody needs the exact number of what is too much anyway.
SQL_DEPTH = """
SELECT CASE
    WHEN low IS NULL THEN 0
    WHEN high - low < 10000 THEN (SELECT count(*) FROM outbox WHERE id BETWEEN low AND high)
    ELSE ((high - low + 1) * (
        SELECT count(*) FROM generate_series(0, 19) AS place,
        LATERAL (SELECT FROM outbox o WHERE o.id >= low + (high - low) * place / 20
                                        AND o.id < low + (high - low) * place / 20 + 500) few) / 10000)::bigint
    END AS depth, (SELECT occurred_at FROM outbox WHERE id = low) AS oldest_at
FROM (SELECT min(id) AS low, max(id) AS high FROM outbox WHERE id > $1) span
"""
SQL_STATE = "SELECT floor, depth, oldest_at, measured_at > now() - make_interval(secs => $1) AS fresh FROM outbox_state"
SQL_SHOW_BACKLOG = """
UPDATE outbox_state SET floor = greatest(floor, $1), depth = $2, oldest_at = $3, measured_at = now()
"""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many rows wait, about, and since when the oldest of them."""

    rows: int
    oldest_at: datetime | None

    def show(self) -> None:
        """Set the gauges."""
        metrics.OUTBOX_DEPTH.set(self.rows)
        age = (clock.now() - self.oldest_at).total_seconds() if self.oldest_at else 0.0
        metrics.OUTBOX_AGE.set(max(0.0, age))


async def waiting(conn: Connection) -> int:
    """How many rows wait at this moment: above 10,000 an estimate."""
    state = await conn.fetchrow(SQL_STATE, STATE_OLD_S)
    row = await conn.fetchrow(SQL_DEPTH, 0 if state is None else state["floor"])
    return 0 if row is None else int(row["depth"])


class Relay:
    """Run by every process of a service; the one with the lock works, the others wait for it."""

    def __init__(self, settings: KitSettings, service: str) -> None:
        self._settings = settings
        self._service = service
        self._sender = Sender(settings, service)
        self._holds = Holds(settings.outbox_tries_max)
        self._backlog = Backlog(0)
        self._wake = asyncio.Event()
        self._channel = f"{service}-outbox"
        self._alert_until_s = 0.0
        self._measured_s = 0.0
        self._tried_s = 0.0
        self.leading = False
        self.depth = 0
        self.trouble: str | None = None
        """Why the last term ended, until a round succeeds."""
        self.beat_s = clock.monotonic_s()
        """When the loop last turned: liveness."""

    def wake(self) -> None:
        """Say that this process has just committed events."""
        self._wake.set()

    async def run(self) -> None:
        """Lead whenever possible, until cancelled. Errors end a term, never the loop."""
        while True:
            try:
                await self._term()
            except Exception as error:
                if not (isinstance(error, RelayError) or is_transient(error)):
                    # A defect must be loud, yet events in the outbox still want to get out.
                    log.exception("relay_failed")
                metrics.RELAY_ERRORS.labels(error=type(error).__name__).inc()
                self.trouble = f"{type(error).__name__}: {error}"[:300]
                log.warning("relay_round_failed", error=self.trouble)
            finally:
                self.leading = False
                metrics.RELAY_LEADER.set(0)
            self.beat_s = clock.monotonic_s()
            await asyncio.sleep(LEADER_RETRY_S)

    async def _term(self) -> None:
        """One connection's life: wait for the lock, then relay until something fails."""
        conn = await asyncpg.connect(
            self._settings.postgres_dsn.get_secret_value(),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=10,
            # The lock must not outlive a vanished process by hours.
            server_settings={
                "application_name": f"{self._service}-relay",
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
                "idle_in_transaction_session_timeout": "30000",
            },
        )
        try:
            while not await conn.fetchval(SQL_TRY_LEAD):
                self.beat_s = clock.monotonic_s()
                await self._hear(conn)
                await self._announce(conn)
            self.leading = True
            metrics.RELAY_LEADER.set(1)
            await self._holds.load(conn)
            state = await conn.fetchrow(SQL_STATE, STATE_OLD_S)
            self._backlog = Backlog(0 if state is None else state["floor"])
            await conn.add_listener(self._channel, lambda *_: self.wake())
            # Also where Kafka is away and no round succeeds: depth and age matter most then.
            await self._report_backlog(conn)
            while True:
                async with self._sender.opened():
                    await self._lead(conn)
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone already; closing is a courtesy
                await conn.close(timeout=2)

    async def _announce(self, conn: Connection) -> None:
        """Wait until the next try to lead; show the leader once what this process has committed by then."""
        until_s = clock.monotonic_s() + LEADER_RETRY_S
        if await self._woken(LEADER_RETRY_S):
            self._wake.clear()
            await conn.execute(SQL_ANNOUNCE, self._channel)
            await asyncio.sleep(max(0.0, until_s - clock.monotonic_s()))  # what follows is found by the leader's polls

    async def _lead(self, conn: Connection) -> None:
        """Rounds, until the producer must be replaced. RelayError where Kafka is away."""
        while self._sender.is_sound():
            woken = self._wake.is_set()
            self._wake.clear()
            self.beat_s = clock.monotonic_s()
            found, more = await self._round(conn)
            if self._sender.is_sound() and self._holds.some and self.beat_s - self._tried_s > HELD_POLL_S:
                await self._try_held(conn)
            if found or woken:
                self._alert_until_s = self.beat_s + ALERT_S
            idle = self.beat_s > self._alert_until_s
            if self.beat_s - self._measured_s > (IDLE_GAUGE_EVERY_S if idle and not self.depth else GAUGE_EVERY_S):
                await self._report_backlog(conn)
            if not more and self._sender.is_sound():
                await self._woken(POLL_S if not idle else HELD_POLL_S if self._holds.some else IDLE_POLL_S)

    async def _woken(self, within_s: float) -> bool:
        """Whether something was committed, here or as announced, before so much time has passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        return self._wake.is_set()

    async def _round(self, conn: Connection) -> tuple[bool, bool]:
        """Send the oldest rows. Whether there were any, and whether there may be more."""
        read_s = clock.monotonic_s()
        rows = await conn.fetch(SQL_OLDEST, self._backlog.top, *self._backlog.bounds(), ROWS_PER_ROUND, BYTES_PER_ROUND)
        more = len(rows) == ROWS_PER_ROUND or bool(rows and rows[-1]["bytes"] >= BYTES_PER_ROUND)
        if rows:
            waiting = [row for row in rows if self._holds.of(row) is not None] if self._holds.some else []
            held = {row["id"] for row in waiting}
            sent = await self._send([row for row in rows if row["id"] not in held] if held else rows)
            await self._settle(conn, sent, waiting)
        self._backlog.settled([row["id"] for row in rows], read_s, whole=not more)
        self.trouble = None
        return bool(rows), more

    async def _send(self, rows: Sequence[Row]) -> Sent:
        return await self._sender.send(rows) if rows else Sent()

    async def _settle(self, conn: Connection, sent: Sent, waiting: Sequence[Row]) -> None:
        """Delete what is on Kafka, set aside what it refuses, and only then complain."""
        self._complain(sent)
        if sent.refused or sent.behind or waiting:
            async with conn.transaction():
                await conn.execute(SQL_DELETE, sent.done)
                if sent.outage is None:
                    await self._holds.take(conn, sent.refused, [*sent.behind, *waiting])
        elif sent.done:
            await conn.execute(SQL_DELETE, sent.done)
        if sent.outage is not None:
            raise RelayError(f"{type(sent.outage).__name__}: {sent.outage}") from sent.outage

    async def _try_held(self, conn: Connection) -> None:
        """Try what is due of the held events, a share of each hold."""
        due = await self._holds.due(conn)
        # while something was due there may be more: the next turn looks again
        self._tried_s = 0.0 if due else self.beat_s
        for hold in due:
            rows = await conn.fetch(SQL_HELD_ROWS, hold.id, SHARE_ROWS, BYTES_PER_ROUND)
            sent = await self._send([row for row in rows if self._holds.of(row) == hold.id])
            self._complain(sent)
            async with conn.transaction():
                await self._holds.settle(conn, hold, rows, sent)
            if sent.outage is not None:
                raise RelayError(f"{type(sent.outage).__name__}: {sent.outage}") from sent.outage
            if not self._sender.is_sound():
                return

    def _complain(self, sent: Sent) -> None:
        for one in sent.refused:
            metrics.OUTBOX_REFUSED.labels(topic=one.row["topic"], code=one.code).inc()
            log.warning(
                "outbox_row_refused", topic=one.row["topic"], event_id=str(one.row["event_id"]), code=one.code,
                detail=one.detail,
            )  # fmt: skip

    async def _report_backlog(self, conn: Connection) -> None:
        """Measure what waits, and say it to the processes that don't lead."""
        found = await self._look(conn, self._backlog.top)
        await conn.execute(SQL_SHOW_BACKLOG, self._backlog.floor, found.rows, found.oldest_at)
        self._measured_s = clock.monotonic_s()

    async def _hear(self, conn: Connection) -> None:
        """What the leader says, or where nobody leads what is there."""
        state = await conn.fetchrow(SQL_STATE, STATE_OLD_S)
        if state is not None and state["fresh"]:
            self._show(Depth(state["depth"], state["oldest_at"]))
        else:
            await self._look(conn, 0 if state is None else state["floor"])

    async def _look(self, conn: Connection, floor: int) -> Depth:
        row = await conn.fetchrow(SQL_DEPTH, floor)
        found = Depth(0, None) if row is None else Depth(row["depth"], row["oldest_at"])
        self._show(found)
        return found

    def _show(self, found: Depth) -> None:
        self.depth = found.rows
        found.show()
