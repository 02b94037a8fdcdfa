"""Who gets what of points."""

from uuid import UUID

from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, OPERATOR, PUBLIC, RIDER, Line, Rights, to
from tests.doors.rights.world import CITY as CITY_CODE
from tests.doors.rights.world import GRID, World


async def hold(world: World) -> UUID:
    hold_id = new_id()
    await world.pool.execute(
        """WITH its_case AS (INSERT INTO cases (case_id, grid_code, grid_version) VALUES ($1, $3, 1))
           INSERT INTO holds (id, source, rider_id, case_id, amount, state, made_at, ended_at)
           VALUES ($1, 'report', $2, $1, 0, 'refused', now(), now())""",
        hold_id, world.rider, GRID,
    )  # fmt: skip
    return hold_id


async def budget(world: World) -> str:
    """One of the grid's, filled from one of its city's; each in a year of its own, since an area has one at a time."""
    found = await world.pool.fetchval(
        """WITH year AS (SELECT coalesce(max(ends_on), '2100-01-01') AS begins FROM budgets), above AS (
               INSERT INTO budgets (area, begins_on, ends_on, allocated, given, made_at)
               SELECT $1, begins, begins + 365, 20, 10, now() FROM year RETURNING id, begins_on, ends_on)
           INSERT INTO budgets (area, begins_on, ends_on, parent_id, allocated, waiting, made_at)
           SELECT $2, begins_on, ends_on, id, 10, 5, now() FROM above RETURNING id""",
        CITY_CODE, GRID,
    )  # fmt: skip
    return str(found)


async def adjustment(world: World) -> UUID:
    id_ = new_id()
    await world.pool.execute(
        """INSERT INTO adjustments (id, rider_id, amount, reason, words, proposed_by, proposed_name, proposed_at, key,
                                    input_hash)
           VALUES ($1, $2, 1, 'goodwill', 'a test', 'somebody', 'Somebody', now(), $3, '')""",
        id_, world.rider, str(id_),
    )  # fmt: skip
    return id_


async def merchant(world: World) -> UUID:
    return world.merchant


DAY = "2026-03-02T00:00:00Z"
BUDGET = {"area": GRID, "begins_on": "2090-01-01", "ends_on": "2091-01-01", "points": 0, "reason": "test"}
PERIOD = {"from": DAY, "to": "2026-03-03T00:00:00Z"}
DECISION = Line(to("city", "operator"), needs="adjustment", body={"words": "a test"})
RIGHTS = Rights(
    routes={
        "GET /v1/points/me/statement": Line(to("any", "rider"), query=PERIOD),
        "GET /v1/points/riders/{rider_id}/statement": Line(to("city", "operator"), query=PERIOD),
        "GET /v1/points/me/balances": Line(to("any", "rider"), query={"at": DAY}),
        "GET /v1/points/riders/{rider_id}/balances": Line(to("city", "operator"), query={"at": DAY}),
        "GET /v1/points/merchants/{merchant_id}/redeemed": Line(
            to("city", "operator") | to("self", "merchant"), needs="merchant", query=PERIOD, hides=True
        ),
        "GET /v1/points/me/lots": RIDER,
        "GET /v1/points/riders/{rider_id}/lots": CITY,
        "GET /v1/points/expiry-rules": OPERATOR,
        "PUT /v1/points/expiry-rules": CITY,
        "POST /v1/points/adjustments": CITY,
        "GET /v1/points/adjustments": CITY,
        "GET /v1/points/adjustments/{adjustment_id}": Line(to("city", "operator"), needs="adjustment"),
        "POST /v1/points/adjustments/{adjustment_id}/approve": DECISION,
        "POST /v1/points/adjustments/{adjustment_id}/refuse": DECISION,
        "POST /v1/points/adjustments/{adjustment_id}/withdraw": DECISION,
        "GET /v1/points/seals": PUBLIC,
        "GET /v1/points/seals/verification": CITY,
        "GET /v1/points/me/proof": RIDER,
        "GET /v1/points/me": RIDER,
        "GET /v1/points/me/entries": RIDER,
        "GET /v1/points/riders/{rider_id}": CITY,
        "GET /v1/points/riders/{rider_id}/entries": CITY,
        "POST /v1/points/holds/{hold_id}/reverse": Line(to("area", "operator"), needs="hold", body={"reason": "test"}),
        "GET /v1/points/me/holds/{hold_id}": Line(to("self", "rider"), needs="hold", hides=True),
        "GET /v1/points/rules": OPERATOR,
        "GET /v1/points/rules/{version}.csv": OPERATOR,
        "PUT /v1/points/rules": CITY,
        "POST /v1/points/rules/dry-run": CITY,
        "GET /v1/points/budgets": Line(to("area", "operator"), needs="budget", shows=True),
        "POST /v1/points/budgets": Line(to("city", "operator"), body=BUDGET),
        "GET /v1/points/budgets/{budget_id}/allocations": Line(to("area", "operator"), needs="budget"),
        "POST /v1/points/budgets/{budget_id}/allocations": Line(
            to("area", "operator"), needs="budget", body={"points": 1, "reason": "test"}
        ),
        "POST /v1/points/budgets/{budget_id}/refuse": Line(
            to("area", "operator"), needs="budget", body={"reason": "test"}
        ),
    },
    objects={"hold": hold, "budget": budget, "adjustment": adjustment, "merchant": merchant},
)  # fmt: skip
