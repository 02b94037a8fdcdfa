"""Who gets what of rewards."""

from uuid import UUID

from services.rewards.store import offers
from shared.kit import clock
from shared.kit.ids import new_id
from tests.doors.rights.lines import ANYBODY, CITY, RIDER, Line, Rights, to
from tests.doors.rights.world import World


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


RIGHTS = Rights(
    routes={
        "GET /v1/merchants": ANYBODY,
        "POST /v1/merchants": CITY,
        "GET /v1/merchants/{id}/statement": Line(
            to("city", "operator") | to("self", "merchant"), needs="merchant",
            query={"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
        ),
        "GET /v1/offers": ANYBODY,
        "POST /v1/offers": CITY,
        "GET /v1/offers/{offer_id}": ANYBODY,
        "POST /v1/offers/{offer_id}/redeem": RIDER,
        "PUT /v1/offers/{offer_id}/stock": CITY,
        "GET /v1/redemptions/me": RIDER,
        "GET /v1/redemptions/{redemption_id}": Line(
            to("city", "operator") | to("self", "rider"), needs="redemption"
        ),
        "POST /v1/redemptions/{redemption_id}/undo": CITY,
        "PUT /v1/offers/{offer_id}/closing": CITY,
        "PUT /v1/merchants/{id}/closing": CITY,
        "POST /v1/vouchers/verify": Line(to("any", "merchant"), body={"code": "nonsense"}),
    },
    objects={"merchant": merchant, "redemption": redemption},
)  # fmt: skip
