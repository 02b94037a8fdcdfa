"""Teams of riders, their members and what they did."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.tasks.domain import TeamKind
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one
from shared.kit.privacy.erasure import Leaver


@dataclass(frozen=True, slots=True)
class Team:
    """A team and its tallies. `minutes`, `points`: of approved work that its members did for it."""

    id: UUID
    version: int
    area_code: str
    name: str
    kind: TeamKind
    leader_id: UUID | None
    closed: bool
    members: int
    done: int
    minutes: int
    points: int


@dataclass(frozen=True, slots=True)
class NewTeam:
    """A team as it is made."""

    id: UUID
    area_code: str
    name: str
    kind: TeamKind
    made_by: str


_LEADER = "(SELECT m.rider_id FROM team_members m WHERE m.team_id = t.id AND m.leads) AS leader_id"
SQL_TEAMS = f"""
SELECT t.id, t.version, t.area_code, t.name, t.kind, {_LEADER}, t.closed,
       (SELECT count(*) FROM team_members m WHERE m.team_id = t.id) AS members,
       coalesce(work.done, 0) AS done, coalesce(work.minutes, 0)::bigint AS minutes,
       coalesce(work.points, 0)::bigint AS points
FROM teams t LEFT JOIN LATERAL (
    SELECT count(*) AS done, sum(d.quantity) AS points,
           sum(extract(epoch FROM c.finished_at - c.started_at) / 60) AS minutes
    FROM claims c JOIN deeds d ON d.claim_id = c.id AND d.withdrawn_at IS NULL
    WHERE c.team_id = t.id AND c.state = 'approved') AS work ON true
"""
SQL_ADD = f"INSERT INTO teams ({columns(NewTeam)}) VALUES ($1, $2, $3, $4, $5)"
SQL_TEAM = Query(Team, f"{SQL_TEAMS} WHERE t.id = $1")
SQL_PAGE = Query(
    Team,
    f"""
{SQL_TEAMS} WHERE t.id > $1 AND NOT t.closed AND ($2::text[] IS NULL OR t.area_code = ANY($2)) ORDER BY t.id LIMIT $3
""",
)
SQL_LOCK = f"SELECT t.area_code, {_LEADER}, t.closed FROM teams t WHERE t.id = $1 FOR NO KEY UPDATE OF t"
SQL_JOIN = "INSERT INTO team_members (team_id, rider_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
SQL_LEAVE = "DELETE FROM team_members WHERE team_id = $1 AND rider_id = $2"
SQL_SET = """
UPDATE teams SET version = version + 1, closed = $3 WHERE id = $1
  AND ($2::uuid IS NULL OR EXISTS (SELECT FROM team_members m WHERE m.team_id = $1 AND m.rider_id = $2))
RETURNING id
"""
SQL_LEADS_NO_MORE = """
UPDATE team_members SET leads = false WHERE team_id = $1 AND leads AND rider_id IS DISTINCT FROM $2
"""
SQL_LEADS = "UPDATE team_members SET leads = true WHERE team_id = $1 AND rider_id = $2"
SQL_IS_MEMBER = "SELECT EXISTS (SELECT FROM team_members WHERE team_id = $1 AND rider_id = $2)"
SQL_MEMBERS = "SELECT rider_id FROM team_members WHERE team_id = $1 AND rider_id > $2 ORDER BY rider_id LIMIT $3"
SQL_FORGET = "DELETE FROM team_members WHERE rider_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Locked:
    """A team that nobody else changes meanwhile."""

    area_code: str
    leader_id: UUID | None
    closed: bool


async def add(conn: Connection, new: NewTeam) -> None:
    """Make one."""
    await conn.execute(SQL_ADD, *(getattr(new, name) for name in NewTeam.__dataclass_fields__))


async def team(conn: Connection, id_: UUID) -> Team | None:
    """One team with its tallies."""
    return await one(conn, SQL_TEAM, id_)


async def page(conn: Connection, areas: Sequence[str] | None, after: UUID, limit: int) -> list[Team]:
    """Teams that are not closed, by id. `areas`: None for the whole city."""
    return await many(conn, SQL_PAGE, after, areas, limit)


async def lock(conn: Connection, id_: UUID) -> Locked | None:
    """One team, locked."""
    row = await conn.fetchrow(SQL_LOCK, id_)
    return None if row is None else Locked(**row)


async def join(conn: Connection, id_: UUID, rider_id: UUID) -> None:
    """A rider is a member; again changes nothing."""
    await conn.execute(SQL_JOIN, id_, rider_id)


async def leave(conn: Connection, id_: UUID, rider_id: UUID) -> None:
    """A rider is no member any more, and doesn't lead it."""
    await conn.execute(SQL_LEAVE, id_, rider_id)


async def set_(conn: Connection, id_: UUID, leader_id: UUID | None, *, closed: bool) -> bool:
    """Who leads a team, and whether it is closed; False: they are no member."""
    if await conn.fetchval(SQL_SET, id_, leader_id, closed) is None:
        return False
    await conn.execute(SQL_LEADS_NO_MORE, id_, leader_id)
    await conn.execute(SQL_LEADS, id_, leader_id)
    return True


async def is_member(conn: Connection, id_: UUID, rider_id: UUID) -> bool:
    """Whether a rider is one of a team."""
    found: bool = await conn.fetchval(SQL_IS_MEMBER, id_, rider_id)
    return found


async def members(conn: Connection, id_: UUID, after: UUID, limit: int) -> list[UUID]:
    """A team's riders by id."""
    return [row["rider_id"] for row in await conn.fetch(SQL_MEMBERS, id_, after, limit)]


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Riders leave their teams."""
    await conn.execute(SQL_FORGET, [one.rider_id for one in leavers])
