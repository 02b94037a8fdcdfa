"""Who gets what of activities."""

from datetime import timedelta
from uuid import UUID

from services.activities.store import activities as store
from services.activities.store.activities import NewActivity
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.service import Service
from tests.doors.rights.lines import ANYBODY, CITY, OPERATOR, PUBLIC, RIDER, Line, Rights, to
from tests.doors.rights.world import GRID, World

SQL_SIGNUP = """
INSERT INTO signups (id, version, activity_id, rider_id, company, number, turn, photo_consent, state, signed_up_at,
                     confirmed_at)
VALUES ($1, 1, $2, $3, 'feima', 1, 1, true, 'confirmed', now(), now())
"""
SQL_PHOTO = """
INSERT INTO photos (id, activity_id, ref, caption, added_by, added_at) VALUES ($1, $1, 'p1', '', 'op', now())
"""
CODE = {"code": "1-000000"}


async def activity(world: World) -> UUID:
    """In the world's grid, tomorrow, with a place that the world's rider has, a team and a photo of the same id."""
    id_, start = new_id(), clock.now() + timedelta(days=1)
    async with world.pool.acquire() as conn, conn.transaction():
        new = NewActivity(
            id=id_, series_id=None, template=None, title_zh="生日会", title_en="Birthday", words_zh="", words_en="",
            area_code=GRID, address="驿站", station_id=None, organiser="街道", published_by="op", starts_at=start,
            ends_at=start + timedelta(hours=2), signup_until=start, places=3, way="queue", companies=(), areas=(),
            seed_hash=None,
        )  # fmt: skip
        await store.add(conn, new, clock.now(), None, ())
        await conn.execute(
            "INSERT INTO teams (activity_id, code, zh, en, starts_at, ends_at)"
            " VALUES ($1, 'nonsense', '法律', 'Law', $2, $3)",
            id_, start, start + timedelta(hours=2),
        )  # fmt: skip
        await conn.execute(SQL_SIGNUP, new_id(), id_, world.rider)
        await conn.execute(SQL_PHOTO, id_)
    return id_


async def attended(world: World) -> UUID:
    """One at which the world's rider was."""
    id_ = await activity(world)
    await world.pool.execute(
        "INSERT INTO check_ins (activity_id, rider_id, signup_id, deed_id, way, checked_in_at)"
        " SELECT activity_id, rider_id, id, $2, 'site', now() FROM signups WHERE activity_id = $1", id_, new_id(),
    )  # fmt: skip
    return id_


def prepare(service: Service) -> None:
    """What it made is called off: nothing by the clock works on it, and other tests count theirs."""

    async def called_off() -> None:
        await service.pool.execute("UPDATE activities SET state = 'called_off', reason = 'x', unsaid = false")

    service.on_stop(called_off)


START = {"starts_at": "2031-05-01T06:00:00Z", "ends_at": "2031-05-01T08:00:00Z", "signup_until": "2031-05-01T05:00:00Z"}
WORDS = {"title_zh": "生日会", "title_en": "Birthday", "address": "驿站", "places": 30, **START}
OWN = to("self", "rider")
STAFF = to("area", "operator", "grid_worker")
RIGHTS = Rights(
    routes={
        "GET /v1/activities": PUBLIC,
        "GET /v1/activities/calendar.ics": PUBLIC,
        "GET /v1/activities/for-me": RIDER,
        "GET /v1/activities/mine": RIDER,
        "GET /v1/activities/templates": OPERATOR,
        "PUT /v1/activities/templates/{code}": CITY,
        "GET /v1/activities/company": Line(to("any", "company"), query={"month": "2026-01"}),
        "GET /v1/activities/reconciliation": CITY,
        "POST /v1/activities": Line(to("area", "operator"), body={**WORDS, "area_code": GRID, "organiser": "街道"}),
        "POST /v1/activities/series": Line(
            to("area", "operator"),
            body={
                "template": "birthday", "days": ["2031-05-01"], "area_code": GRID, "address": "驿站",
                "organiser": "街道",
            },
        ),
        "GET /v1/activities/{activity_id}": ANYBODY,
        "PUT /v1/activities/{activity_id}": Line(
            to("area", "operator"), needs="activity", body={**WORDS, "after_version": 1}
        ),
        "POST /v1/activities/{activity_id}/cancel": Line(
            to("area", "operator"), needs="activity", body={"reason": "暴雨"}
        ),
        "PUT /v1/activities/{activity_id}/teams/{code}/served": Line(
            to("area", "operator"), needs="activity", body={"served": 3, "after_version": 1}
        ),
        "GET /v1/activities/{activity_id}/draw": PUBLIC,
        "PUT /v1/activities/{activity_id}/signup": RIDER,
        "GET /v1/activities/{activity_id}/signup": Line(OWN, needs="activity"),
        "POST /v1/activities/{activity_id}/signup/cancel": Line(OWN, needs="activity"),
        "PUT /v1/activities/{activity_id}/signup/consent": Line(OWN, needs="activity", body={"photo_consent": False}),
        "GET /v1/activities/{activity_id}/signups": Line(to("area", "operator"), needs="activity"),
        "POST /v1/activities/{activity_id}/check-ins": Line(STAFF, needs="activity", body=CODE),
        "POST /v1/activities/{activity_id}/check-ins/undo": Line(
            to("area", "operator"), needs="attended", body={"reason": "看错了码", "number": 1}
        ),
        "POST /v1/activities/{activity_id}/check-in": Line(to("any", "rider"), body=CODE),
        "GET /v1/activities/{activity_id}/site-code": Line(STAFF, needs="activity"),
        "PUT /v1/activities/{activity_id}/feedback": Line(to("any", "rider"), body={"stars": 5}),
        "GET /v1/activities/{activity_id}/feedback": Line(to("area", "operator"), needs="activity"),
        "POST /v1/activities/{activity_id}/photos": Line(to("area", "operator"), needs="activity", body={"ref": "p1"}),
        "GET /v1/activities/{activity_id}/photos": PUBLIC,
        "DELETE /v1/activities/{activity_id}/photos/{photo_id}": Line(to("area", "operator"), needs="activity"),
    },
    objects={"activity": activity, "attended": attended},
    prepare=prepare,
)  # fmt: skip
