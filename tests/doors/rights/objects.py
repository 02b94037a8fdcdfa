"""Makes what the routes are asked about: each in grid G10, each of one rider or merchant."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from services.cases import usecases as cases
from services.cases.usecases import Rules
from services.intake.usecases.photos import Photos
from services.notifications.usecases.preferences import SEALED_FOR
from services.rewards.store import offers
from services.riders import domain as riders_domain
from services.riders import usecases as riders_usecases
from services.tracking import usecases as tracking
from shared.events.report_received import ReportReceived
from shared.events.report_routed import ReportRouted
from shared.kit import clock
from shared.kit.areas import KnownArea
from shared.kit.areas import store as known_store
from shared.kit.areas.store import KeptArea
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Record
from shared.kit.postgres.db import Pool
from shared.kit.service import Service
from tests.doors.rights.expectations import GRID

OWN, NEIGHBOUR, DISTRICT, CITY, OTHER_DISTRICT = GRID, "G1", "330102", "3301", "330105"
COMPANY = "feima"
"""Whose reports, photos and riders all are."""
AREAS = [
    KnownArea(CITY, "city", (), True),
    KnownArea(DISTRICT, "district", (CITY,), True),
    KnownArea(OTHER_DISTRICT, "district", (CITY,), True),
    KnownArea(OWN, "grid", (CITY, DISTRICT), True),
    KnownArea(NEIGHBOUR, "grid", (CITY, DISTRICT), True),
    KnownArea("G100", "grid", (CITY, OTHER_DISTRICT), True),
]
_places = count()


@dataclass
class World:
    """A running service and whose its objects are."""

    service: Service
    rider: UUID = field(default_factory=new_id)
    merchant: UUID = field(default_factory=new_id)
    number: str = ""
    """The company's own of the last rider made."""

    @property
    def pool(self) -> Pool:
        return self.service.pool

    async def settle(self) -> None:
        """Let the service know the map."""
        async with self.pool.acquire() as conn, conn.transaction():
            await known_store.keep(conn, [KeptArea(area, 1_000) for area in AREAS])
        await self.service.known_areas.refresh()

    def facts(self, report_id: UUID) -> dict[str, Any]:
        """A report of the world's rider, at a place of its own."""
        now = clock.now()
        return {
            "report_id": report_id, "rider_id": self.rider, "company": "feima", "kind": "part-01001",
            "level": "hazard", "lng": 120.3 + 0.01 * next(_places), "lat": 30.3, "accuracy_m": 10, "text": "井盖",
            "occurred_at": now, "received_at": now,
        }  # fmt: skip


def heard(body: Any, key: UUID, topic: str) -> Event[Any]:
    """The event of a body."""
    return Event(new_id(), body, str(key), 1, clock.now(), Record(topic, 0, 0, str(key).encode(), b"", ()))


async def case(world: World, state: str) -> UUID:
    await world.pool.execute("DELETE FROM cases")
    report_id = new_id()
    body = ReportRouted.model_validate({**world.facts(report_id), "outcome": "routed", "grid_code": GRID})
    async with world.service.work() as work:
        rules = Rules.of(world.service.settings)  # type: ignore[arg-type]  # the cases service has its own
        await cases.take_routed_reports(rules, work, [heard(body, report_id, "routing.report-routed.v1")])
    live = state not in ("closed", "invalid")
    case_id: UUID = await world.pool.fetchval("UPDATE cases SET state = $1, live = $2 RETURNING case_id", state, live)
    return case_id


async def photo(world: World) -> UUID:
    report_id, photo_id, case_id = await report(world), new_id(), new_id()
    await world.pool.execute(
        """INSERT INTO photos (photo_id, owner, sha256, phash, width, height, state, uploaded_at, report_id, case_id)
           VALUES ($1, 'company:feima', $2, '', 1, 1, 'stored', now(), $3, $4)""",
        photo_id, photo_id.hex, report_id, case_id,
    )  # fmt: skip
    await world.pool.execute("INSERT INTO photo_cases (case_id, version, grids) VALUES ($1, 1, $2)", case_id, [GRID])
    await world.service.provided.get(Photos).objects.put(photo_id, b"jpeg", b"jpeg")
    return photo_id


async def report(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute(
        """INSERT INTO reports (report_id, source, external_id, company, rider_id, kind, content_hash, received_at)
           VALUES ($1, 'feima', $2, 'feima', $3, 'part-01001', '', now())""",
        report_id, report_id.hex, world.rider,
    )  # fmt: skip
    return report_id


async def message(world: World) -> UUID:
    message_id = new_id()
    await world.pool.execute(
        "INSERT INTO messages VALUES ($1, $2, 'case', 'case_claimed', '{}', now())", world.rider, message_id
    )
    return message_id


async def channel(world: World) -> UUID:
    await world.pool.execute("DELETE FROM channels")
    channel_id = new_id()
    await world.pool.execute(
        """INSERT INTO channels (channel_id, area, kind, sealed, hint, topics, created_at)
           VALUES ($1, $2, 'wecom', '', '', '{emergency}', now())""",
        channel_id, GRID,
    )  # fmt: skip
    return channel_id


async def address(world: World) -> UUID:
    channel_id = new_id()
    sealer = Sealer(world.service.settings.sealing_key.get_secret_value())
    await world.pool.execute(
        """INSERT INTO channels (channel_id, rider_id, kind, sealed, hint, topics, created_at)
           VALUES ($1, $2, 'mail', $3, '', '{case}', now())""",
        channel_id, world.rider, sealer.seal(b"rider@example.org", SEALED_FOR, str(channel_id)),
    )  # fmt: skip
    return channel_id


async def hold(world: World) -> UUID:
    hold_id = new_id()
    await world.pool.execute(
        """WITH its_case AS (INSERT INTO cases (case_id, grid_code, grid_version) VALUES ($1, $3, 1))
           INSERT INTO holds (id, source, rider_id, case_id, amount, state, made_at, ended_at)
           VALUES ($1, 'report', $2, $1, 0, 'refused', now(), now())""",
        hold_id, world.rider, GRID,
    )  # fmt: skip
    return hold_id


async def merchant(world: World) -> UUID:
    await world.pool.execute(
        "INSERT INTO merchants (id, version, name, address, active, created_at)"
        " VALUES ($1, 1, '驿站', '路', true, now())"
        " ON CONFLICT DO NOTHING", world.merchant,
    )  # fmt: skip
    return world.merchant


async def redemption(world: World) -> UUID:
    await merchant(world)
    offer_id, redemption_id = new_id(), new_id()
    now = clock.now()
    async with world.pool.acquire() as conn:
        await offers.add_offer(conn, offer_id, offers.NewOffer(
            merchant_id=world.merchant, name="热饮", description="", price=0, donated_by=None, stock=1,
            per_rider_max=None, per_day_max=None, valid_from=now, valid_until=now.replace(year=now.year + 1),
            opens_minute=0, closes_minute=1440, voucher_minutes=60,
        ))  # fmt: skip
        await conn.execute(
            """INSERT INTO redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state,
                                        requested_on, requested_at, deadline_at)
               VALUES ($1, 1, $2, $3, $4, '热饮', 0, 'requested', current_date, now(), now() + interval '1 day')""",
            redemption_id, world.rider, offer_id, world.merchant,
        )  # fmt: skip
    return redemption_id


async def rider(world: World) -> UUID:
    """A new rider, whose token is the next one of the world's."""
    await world.pool.execute(
        "INSERT INTO companies (company_id, code, name, active, version, created_at, changed_at)"
        " VALUES ($1, 'feima', '飞马', true, 1, now(), now())"
        " ON CONFLICT DO NOTHING", new_id(),
    )  # fmt: skip
    facts = riders_domain.RiderFacts("王小哥", "courier", None, None, "zh", True)
    async with world.service.work() as work:
        world.number = new_id().hex
        one = riders_domain.Registration(COMPANY, world.number, facts)
        (outcome,) = await riders_usecases.register(work, [one])
    assert isinstance(outcome, riders_domain.Registered)
    world.rider = outcome.rider_id
    return world.rider


async def responsibility(world: World) -> str:
    await world.pool.execute(
        "INSERT INTO responsibilities VALUES ('gas', $1, 'D', '', now(), 'x') ON CONFLICT DO NOTHING", GRID
    )
    return GRID


async def waiting(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute("DELETE FROM unroutable")
    body = ReportReceived.model_validate({**world.facts(report_id), "external_id": report_id.hex})
    await world.pool.execute(
        """INSERT INTO routes (report_id, version, outcome, reason, alternatives, routed_at)
           VALUES ($1, 1, 'unroutable', 'outside_every_grid', '{}', now())""",
        report_id,
    )
    await world.pool.execute(
        "INSERT INTO unroutable (report_id, reason, waiting_since, near, report) VALUES ($1, 'outside', now(), $2, $3)",
        report_id, GRID, body.model_dump(mode="json"),
    )  # fmt: skip
    return report_id


async def journey(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute(
        "INSERT INTO reports VALUES ($1, 'feima', 'F', $2, 'part-01001', 'hazard', 120.3, 30.3, now(), now())",
        report_id, world.rider,
    )  # fmt: skip
    body = ReportRouted.model_validate({**world.facts(report_id), "outcome": "routed", "grid_code": GRID})
    async with world.service.work() as work:
        await tracking.follow_routings(work, [heard(body, report_id, "routing.report-routed.v1")])
    return report_id


MAKERS: dict[str, Callable[..., Awaitable[UUID | str]]] = {
    one.__name__: one  # type: ignore[attr-defined]  # functions have names
    for one in (
        case, photo, report, message, channel, address, hold, merchant, redemption, rider, responsibility, waiting,
        journey,
    )
}  # fmt: skip
