"""Drives the notifications use cases as the kit does, and receivers of its webhooks and mail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook as Verifier

from services.notifications.domain import Delivery
from services.notifications.settings import Settings
from services.notifications.store import deliveries, people, reporters
from shared.events.account_changed import ACCOUNT_CHANGED, AccountChanged
from shared.events.case_changed import CASE_CHANGED, CaseChanged, CaseReport
from shared.events.common import Actor
from shared.events.redemption_changed import REDEMPTION_CHANGED, RedemptionChanged
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Pool
from shared.known.knowing import Riders, follow_riders
from tests.support import UseCase, event_of, hear, work_on

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
GRID = "330114001001001"
RIDERS = Riders(left=people.forget_addresses)
HEARS_RIDERS = partial(follow_riders, RIDERS)


event = partial(event_of, at=NOON)


def moved(rider: UUID, movement: str = "held", **values: Any) -> Event[AccountChanged]:
    """A points event."""
    defaults: dict[str, Any] = {"source": "report", "case_id": new_id(), "amount": 50, "grid_code": GRID}
    body = AccountChanged(
        rider_id=rider, entry_id=new_id(), movement=movement, source_id=new_id(), pending=120, available=70,
        changed_at=NOON, **(defaults | values),
    )  # fmt: skip
    return event(ACCOUNT_CHANGED, body)


def stepped(transition: str, report_count: int = 1, case_id: UUID | None = None, **values: Any) -> Event[CaseChanged]:
    """A step of a case."""
    defaults: dict[str, Any] = {
        "case_id": case_id or new_id(), "state": "claimed", "transition": transition, "kind": "local-gas-smell",
        "level": "emergency", "grid_code": GRID, "department": "gas", "lng": 120.3, "lat": 30.3,
        "report_count": report_count, "actor": Actor(id="w1", name="王芳", role="grid_worker"), "changed_at": NOON,
        "opened_at": NOON, "due_at": NOON,
    }  # fmt: skip
    return event(CASE_CHANGED, CaseChanged(**(defaults | values)), version=3)


def reported(
    riders: Sequence[UUID], company: str = "mt", case_id: UUID | None = None, start: int = 1
) -> list[Event[CaseChanged]]:
    """The steps with which these riders' reports opened a case or joined it, from an ordinal on."""
    case_id = case_id or new_id()
    return [
        stepped(
            "opened" if ordinal == 1 else "attached",
            ordinal,
            case_id,
            state="open",
            level="hazard",
            actor=None,
            report=CaseReport(report_id=new_id(), rider_id=rider, company=company, ordinal=ordinal),
        )
        for ordinal, rider in enumerate(riders, start)
    ]


def redeemed(rider: UUID, state: str, **values: Any) -> Event[RedemptionChanged]:
    """A redemption event."""
    body = RedemptionChanged(
        redemption_id=new_id(), rider_id=rider, offer_id=new_id(), merchant_id=new_id(), offer_name="热饮券", price=30,
        state=state, changed_at=NOON, **values,
    )  # fmt: skip
    return event(REDEMPTION_CHANGED, body)


@dataclass
class Stage:
    """The service's pool and settings."""

    pool: Pool
    settings: Settings

    async def hear(self, handler: UseCase, *events: Event[Any]) -> None:
        """One batch in one transaction."""
        await hear(self.pool, handler, *events)

    def work(self) -> contextlib.AbstractAsyncContextManager[Work]:
        """A transaction of HTTP."""
        return work_on(self.pool)

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Look into the tables."""
        async with self.pool.acquire() as conn:
            return [dict(row) for row in await conn.fetch(query, *values)]

    async def case(self, riders: Sequence[UUID], company: str = "mt") -> UUID:
        """A case that these riders reported."""
        case_id = new_id()
        known = [reporters.Reporter(case_id, company, n, rider, new_id()) for n, rider in enumerate(riders, 1)]
        async with self.pool.acquire() as conn:
            await reporters.add(conn, known, NOON)
        return case_id

    async def hurry(self) -> None:
        """Make every waiting delivery and paused webhook due."""
        async with self.pool.acquire() as conn:
            await conn.execute(
                "UPDATE deliveries SET next_attempt_at = '-infinity' WHERE state IN ('pending', 'failed')"
            )
            await conn.execute("UPDATE webhooks SET paused_until = '-infinity'")

    async def deliveries(self, state: str) -> list[Delivery]:
        """Deliveries of one state."""
        async with self.pool.acquire() as conn:
            return await deliveries.listed(conn, state, None, 1_000)


@dataclass
class Receiver:
    """A company's web server. `answers`: statuses, the last one for ever; `taken`: bodies whose signature held."""

    answers: list[int] = field(default_factory=lambda: [204])
    secrets: list[bytes] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    requests: list[dict[str, str]] = field(default_factory=list)
    taken: list[Any] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """Serve until the end of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(_header(line) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append(headers)
            await asyncio.sleep(self.delay_s)
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if status < 300:
                for secret in self.secrets:  # raises, and so the sender sees a broken connection, when it doesn't hold
                    self.taken.append(Verifier(secret).verify(body, headers))
            extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{extra}connection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value
