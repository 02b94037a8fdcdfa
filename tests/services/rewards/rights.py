"""Who gets what of rewards."""

from uuid import UUID

from services.rewards.store import offers
from shared.kit import clock
from shared.kit.ids import new_id
from tests.doors.rights.lines import ANYBODY, CITY, PUBLIC, RIDER, Line, Rights, to
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
        await conn.execute("UPDATE offers SET free = 0, held = 1 WHERE id = $1", offer_id)
    return redemption_id


async def complaint(world: World) -> UUID:
    """About a voucher that has ended."""
    redemption_id, id_ = await redemption(world), new_id()
    await world.pool.execute(
        """INSERT INTO complaints (id, redemption_id, rider_id, words, state, filed_at)
           VALUES ($1, $2, $3, '凉了', 'open', now())""",
        id_, redemption_id, world.rider,
    )  # fmt: skip
    return id_


async def statement(world: World) -> UUID:
    """Of a month of its own, since a merchant has one of each."""
    await merchant(world)
    id_ = new_id()
    await world.pool.execute(
        """INSERT INTO statements (id, version, merchant_id, month, since, until, used, returned, doubles, points,
                                   digest, state, closed_at, closed_by)
           SELECT $1, 1, $2, m, m, m + interval '1 month', 0, 0, 0, 0, repeat('0', 64), 'closed', now(), 'op'
           FROM (SELECT coalesce(max(month), '2020-01-01') + interval '1 month' AS m FROM statements
                 WHERE merchant_id = $2) AS next""",
        id_, world.merchant,
    )  # fmt: skip
    return id_


async def paper(world: World) -> UUID:
    """A list of no vouchers."""
    await merchant(world)
    id_ = new_id()
    await world.pool.execute(
        """INSERT INTO offline_lists (id, merchant_id, made_by, made_at, good_until, closes_at, redemption_ids)
           VALUES ($1, $2, 'm', now(), now() + interval '1 hour', now() + interval '2 hours', '{}')""",
        id_, world.merchant,
    )  # fmt: skip
    return id_


OWN_STATEMENT = Line(to("city", "operator") | to("self", "merchant"), needs="statement")
RIGHTS = Rights(
    routes={
        "GET /v1/merchants": ANYBODY,
        "POST /v1/merchants": CITY,
        "GET /v1/merchants/list": PUBLIC,
        "GET /v1/merchants/list.csv": PUBLIC,
        "GET /v1/merchants/applications": ANYBODY,
        "POST /v1/merchants/applications": ANYBODY,
        "PUT /v1/merchants/{id}/review": CITY,
        "POST /v1/merchants/{id}/stores": CITY,
        "GET /v1/merchants/{id}/stores": ANYBODY,
        "PUT /v1/merchants/{id}/staff/{person}": CITY,
        "GET /v1/merchants/{id}/staff": Line(to("city", "operator") | to("self", "merchant"), needs="merchant"),
        "GET /v1/merchants/{id}/statements": Line(to("city", "operator") | to("self", "merchant"), needs="merchant"),
        "POST /v1/merchants/{id}/statements": CITY,
        "GET /v1/statements/by-area": Line(to("city", "operator"), query={"from": "2026-01-01", "to": "2026-02-01"}),
        "GET /v1/statements/donors": ANYBODY,
        "GET /v1/statements/company": Line(to("any", "company"), query={"month": "2026-01"}),
        "GET /v1/statements/{id}": OWN_STATEMENT,
        "GET /v1/statements/{id}/file.csv": OWN_STATEMENT,
        "GET /v1/statements/{id}/page": OWN_STATEMENT,
        "GET /v1/statements/{id}/verify": PUBLIC,
        "POST /v1/statements/{id}/dispute": Line(to("self", "merchant"), needs="statement", body={"words": "少了"}),
        "POST /v1/statements/{id}/answer": CITY,
        "POST /v1/statements/{id}/payment": CITY,
        "GET /v1/merchants/{id}/statement": Line(
            to("city", "operator") | to("self", "merchant"), needs="merchant",
            query={"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
        ),
        "GET /v1/offers": ANYBODY,
        "POST /v1/offers": CITY,
        "GET /v1/offers/{offer_id}": ANYBODY,
        "POST /v1/offers/{offer_id}/redeem": RIDER,
        "PUT /v1/offers/{offer_id}/stock": CITY,
        "GET /v1/offers/{offer_id}/slots": ANYBODY,
        "POST /v1/offers/{offer_id}/slots": CITY,
        "GET /v1/offers/{offer_id}/stations": ANYBODY,
        "PUT /v1/offers/{offer_id}/stations/{merchant_id}": CITY,
        "GET /v1/redemptions/me": RIDER,
        "GET /v1/redemptions/{redemption_id}": Line(
            to("city", "operator") | to("self", "rider"), needs="redemption"
        ),
        "POST /v1/redemptions/{redemption_id}/cancel": Line(to("self", "rider"), needs="redemption"),
        "POST /v1/redemptions/{redemption_id}/undo": CITY,
        "PUT /v1/offers/{offer_id}/closing": CITY,
        "PUT /v1/merchants/{id}/closing": CITY,
        "POST /v1/vouchers/verify": Line(to("any", "merchant"), body={"code": "nonsense"}),
        "GET /v1/vouchers/key": PUBLIC,
        "POST /v1/vouchers/lists": Line(to("self", "merchant"), needs="merchant"),
        "POST /v1/vouchers/lists/{list_id}/takings": Line(
            to("self", "merchant"), needs="paper", body={"count": 0, "items": []}
        ),
        "GET /v1/vouchers/doubles": CITY,
        "PUT /v1/redemptions/{redemption_id}/fulfilment": Line(
            to("city", "operator") | to("self", "merchant"), needs="redemption", body={"state": "sent"}
        ),
        "POST /v1/redemptions/{redemption_id}/complaints": Line(to("any", "rider"), body={"words": "凉了，没热过"}),
        "GET /v1/vouchers/complaints": Line(to("any", "rider") | to("city", "operator")),
        "PUT /v1/vouchers/complaints/{complaint_id}": Line(
            to("city", "operator"), needs="complaint", body={"refund": False, "words": "已核实"}
        ),
    },
    objects={"merchant": merchant, "redemption": redemption, "statement": statement, "paper": paper,
             "complaint": complaint},
)  # fmt: skip
