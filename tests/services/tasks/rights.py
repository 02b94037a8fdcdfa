"""Who gets what of tasks. The objects are in the world's grid, and its rider's."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.kit import clock
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from tests.doors.rights.lines import ANYBODY, CITY, COMPANY, RIDER, Line, Rights, to
from tests.doors.rights.world import GRID, World

OPEN = """
INSERT INTO tasks (id, kind, area_code, title, needs, address, skills, capacity, points, points_given, starts_at,
                   ends_at, hand_back_until, published_by)
VALUES ($1, 'errand', $2, '送药', '取药', '1 号楼', '{}', 5, 10, 50, $3, $3::timestamptz + interval '2 hours', $3, 'op')
"""
CLAIM = """
INSERT INTO claims (id, task_id, rider_id, company, no, state, of_age, reviewed_by, finished_at, decided_at,
                    appealed_at, review_due_at)
VALUES ($1, $2, $3, 'feima', 1, $4, true, CASE WHEN $4 IN ('approved', 'rejected') THEN 'somebody' END, now(), now(),
        CASE WHEN $5 THEN now() END, now())
"""


async def task(world: World, known_rider: str = "") -> UUID:
    if known_rider:
        await known(world)
    id_ = new_id()
    await world.pool.execute(OPEN, id_, GRID, clock.now() + timedelta(days=2))
    return id_


async def running(world: World) -> UUID:
    id_ = new_id()
    await world.pool.execute(OPEN, id_, GRID, clock.now() - timedelta(minutes=5))
    return id_


async def claim(world: World, state: str = "claimed", appealed: str = "") -> UUID:
    await known(world)
    task_id, id_ = await (running if state == "started" else task)(world), new_id()
    await world.pool.execute(CLAIM, id_, task_id, world.rider, state, bool(appealed))
    await world.pool.execute(
        "UPDATE tasks SET claims = 1, taken = 1, approved = $2 WHERE id = $1", task_id, int(state == "approved")
    )
    if state == "approved":
        await world.pool.execute(
            "INSERT INTO deeds VALUES ($1, $2, $3, 'errand', $4, 10, now(), now())", new_id(), id_, world.rider, GRID
        )
    return id_


async def due(world: World) -> UUID:
    """A claim whose task begins about now."""
    await known(world)
    task_id, id_ = await running(world), new_id()
    await world.pool.execute(CLAIM, id_, task_id, world.rider, "claimed", False)
    await world.pool.execute("UPDATE tasks SET claims = 1, taken = 1 WHERE id = $1", task_id)
    return id_


async def contact(world: World) -> UUID:
    id_ = await claim(world)
    sealer = Sealer(world.service.settings.sealing_key.get_secret_value())  # type: ignore[attr-defined]
    await world.pool.execute(
        "UPDATE claims SET contact_sealed = $2 WHERE id = $1", id_, sealer.seal("家人\n110".encode(), "tasks", str(id_))
    )
    return id_


async def series(world: World) -> UUID:
    id_ = new_id()
    await world.pool.execute(
        """INSERT INTO series (id, kind, area_code, title, needs, address, skills, capacity, points, points_given,
                               weekday, minute, minutes, hand_back_hours, made_until, until, published_by, ended_at)
           VALUES ($1, 'errand', $2, '夜巡', '手电', '1 号', '{}', 5, 10, 50, 5, 1200, 60, 2, '2020-01-01',
                   '2020-02-01', 'op', now())""",
        id_, GRID,
    )  # fmt: skip
    return id_


async def alarm(world: World) -> UUID:
    """Over long ago, so that it stops no other object's task."""
    id_ = new_id()
    await world.pool.execute(
        "INSERT INTO alarms (id, area_code, since, until, words_zh, words_en, set_by)"
        " VALUES ($1, $2, '2020-01-01', '2020-01-02', '雨', 'rain', 'op')", id_, GRID,
    )  # fmt: skip
    return id_


async def team(world: World) -> UUID:
    await known(world)
    id_ = new_id()
    await world.pool.execute(
        "INSERT INTO teams (id, area_code, name, kind, made_by) VALUES ($1, $2, '帮帮团', 'helpers', 'op')", id_, GRID
    )
    await world.pool.execute("INSERT INTO team_members VALUES ($1, $2, true)", id_, world.rider)
    return id_


async def known(world: World) -> None:
    await world.pool.execute(
        "INSERT INTO known_riders (rider_id, company, locale, consent, active, version)"
        " VALUES ($1, 'feima', 'zh', true, true, 1) ON CONFLICT DO NOTHING", world.rider,
    )  # fmt: skip


def terms(**more: Any) -> dict[str, Any]:
    """A body of a task or series in the world's grid."""
    usual: dict[str, Any] = {
        "kind": "errand", "area_code": GRID, "title": "送药", "needs": "取药", "address": "1 号楼", "capacity": 5,
        "points": 10, "points_given": 50,
    }  # fmt: skip
    return usual | more


HERE = to("area", "operator")
OWN = to("self", "rider")
NOON = (clock.now() + timedelta(days=3)).replace(hour=1, minute=0, second=0, microsecond=0)
TASK = terms(starts_at=NOON.isoformat(), ends_at=(NOON + timedelta(hours=1)).isoformat())
WEEKLY = terms(weekday=5, at="20:30", minutes=60, since="2026-01-01", until="2026-02-01")
ALARM = {
    "area_code": GRID,
    "since": "2020-01-01T00:00:00Z",
    "until": "2020-01-02T00:00:00Z",
    "words_zh": "雨",
    "words_en": "rain",
}
RIGHTS = Rights(
    routes={
        "POST /v1/tasks": Line(HERE, body=TASK),
        "GET /v1/tasks": ANYBODY,
        "GET /v1/tasks/{task_id}": Line(ANYBODY.roles, needs="task"),
        "PUT /v1/tasks/{task_id}/cancellation": Line(HERE, needs="task", body={"reason": "a test"}, hides=True),
        "GET /v1/tasks/{task_id}/claims": Line(HERE, needs="task", hides=True),
        "POST /v1/tasks/{task_id}/claims": Line(RIDER.roles, needs="task known", body={"of_age": True}),
        "GET /v1/tasks/claims/mine": Line(OWN, needs="claim", shows=True),
        "PUT /v1/tasks/claims/{claim_id}/hand-back": Line(OWN, needs="claim", hides=True),
        "PUT /v1/tasks/claims/{claim_id}/start": Line(OWN, needs="due", body={}, hides=True),
        "PUT /v1/tasks/claims/{claim_id}/finish": Line(OWN, needs="claim started", body={}, hides=True),
        "PUT /v1/tasks/claims/{claim_id}/appeal": Line(
            OWN, needs="claim rejected", body={"words": "a test"}, hides=True
        ),
        "PUT /v1/tasks/claims/{claim_id}/review": Line(
            HERE, needs="claim finished", body={"approved": True, "reason": "a test"}, hides=True
        ),
        "PUT /v1/tasks/claims/{claim_id}/overturning": Line(
            HERE, needs="claim approved", body={"reason": "a test"}, hides=True
        ),
        "PUT /v1/tasks/claims/{claim_id}/decision": Line(
            HERE, needs="claim rejected appealed", body={"granted": True, "reason": "a test"}, hides=True
        ),
        "PUT /v1/tasks/claims/{claim_id}/contact": Line(HERE, needs="contact", hides=True),
        "GET /v1/tasks/reviews": Line(HERE, needs="claim finished", shows=True),
        "GET /v1/tasks/appeals": Line(HERE, needs="claim rejected appealed", shows=True),
        "POST /v1/tasks/series": Line(HERE, body=WEEKLY),
        "GET /v1/tasks/series": Line(HERE, needs="series", shows=True),
        "PUT /v1/tasks/series/{series_id}/end": Line(HERE, needs="series", hides=True),
        "POST /v1/tasks/alarms": Line(HERE, body=ALARM),
        "GET /v1/tasks/alarms": ANYBODY,
        "PUT /v1/tasks/alarms/{alarm_id}/end": Line(HERE, needs="alarm", hides=True),
        "POST /v1/tasks/teams": Line(HERE, body={"area_code": GRID, "name": "帮帮团", "kind": "helpers"}),
        "GET /v1/tasks/teams": ANYBODY,
        "PUT /v1/tasks/teams/{team_id}": Line(HERE, needs="team", body={}, hides=True),
        "PUT /v1/tasks/teams/{team_id}/membership": Line(RIDER.roles, needs="team", body={"member": False}),
        "GET /v1/tasks/teams/{team_id}/members": Line(HERE | OWN, needs="team", hides=True),
        "DELETE /v1/tasks/teams/{team_id}/members/{rider_id}": Line(HERE | OWN, needs="team", hides=True),
        "GET /v1/tasks/figures": CITY,
        "GET /v1/tasks/by-company": Line(COMPANY.roles, query={"month": "2026-01"}),
    },
    objects={
        "task": task, "claim": claim, "due": due, "contact": contact, "series": series,
        "alarm": alarm, "team": team,
    },
)  # fmt: skip
