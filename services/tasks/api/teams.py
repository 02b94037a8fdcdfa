"""Teams of riders: 帮帮团, 瞭望哨, 网格员."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from services.tasks import problems
from services.tasks.api.parts import FIRST_ID, need
from services.tasks.domain import TeamKind
from services.tasks.store import teams as store
from services.tasks.store.teams import NewTeam
from shared.events.common import AreaCode
from shared.events.outside import ONE_LINE
from shared.kit.auth import AnyOf, Caller, Operator, Person, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.ids import new_id
from shared.kit.postgres.db import Connection
from shared.kit.problems import FORBIDDEN, NOT_FOUND, RIDER_ERASED, RIDER_INACTIVE, UNKNOWN_RIDER, not_found
from shared.kit.service import CurrentService, Reading
from shared.known import riders as known_riders
from shared.known.domain import rider_refusal

router: APIRouter = policy_router(tags=["tasks"])


class TeamIn(Body):
    """A new team."""

    area_code: AreaCode
    name: Annotated[str, Field(min_length=1, max_length=40), ONE_LINE]
    kind: TeamKind = Field(description="helpers 帮帮团, lookouts 瞭望哨, grid_workers 网格员")


class TeamStateIn(Body):
    """Who leads a team, one of its members, and whether it is closed."""

    leader_id: UUID | None = None
    closed: bool = False


class MembershipIn(Body):
    """Whether the rider is a member."""

    member: bool


class TeamOut(Answer):
    """A team and what its members did for it."""

    id: UUID
    version: int
    area_code: str
    name: str
    kind: TeamKind
    closed: bool
    has_leader: bool
    members: int
    done: int = Field(description="approved work")
    minutes: int = Field(description="that it took")
    points: int = Field(description="that were asked for it")


class MemberOut(Answer):
    """One of a team."""

    rider_id: UUID


@router.post("/v1/tasks/teams", status_code=201, response_model=TeamOut)
@allow(Operator, refuses=(FORBIDDEN,))
async def make_team(body: TeamIn, caller: Caller, attempt: Idempotent, service: CurrentService) -> Response:
    """Make a team in one's own area."""
    need(caller, body.area_code)
    new = NewTeam(new_id(), body.area_code, body.name, body.kind, caller.id)
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        await store.add(work.conn, new)
        return await attempt.store(work.conn, 201, await _shown(work.conn, new.id))


@router.get("/v1/tasks/teams")
@allow(Person)
async def list_teams(
    conn: Reading,
    asked: Asked,
    service: CurrentService,
    area: Annotated[AreaCode | None, Query(description="in this area, and all that lies in it")] = None,
) -> Page[TeamOut]:
    """Teams and their tallies, by id."""
    areas = None if area is None else sorted(service.tree.below([area]))
    found = await store.page(conn, areas, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, _out, lambda team: team.id)


@router.put("/v1/tasks/teams/{team_id}")
@allow(Operator, refuses=(NOT_FOUND, problems.NOT_IN_TEAM))
async def set_team(team_id: UUID, body: TeamStateIn, caller: Caller, service: CurrentService) -> TeamOut:
    """Say who leads a team, or close it: nobody joins it then."""
    async with service.work() as work:
        team = await store.lock(work.conn, team_id)
        if team is None or not caller.covers(team.area_code):
            raise not_found("team")
        if not await store.set_(work.conn, team_id, body.leader_id, closed=body.closed):
            raise problems.NOT_IN_TEAM()
        return await _shown(work.conn, team_id)


@router.put("/v1/tasks/teams/{team_id}/membership")
@allow(Rider, refuses=(NOT_FOUND, UNKNOWN_RIDER, RIDER_INACTIVE, RIDER_ERASED))
async def set_membership(team_id: UUID, body: MembershipIn, caller: Caller, service: CurrentService) -> TeamOut:
    """Join a team, or leave it."""
    rider_id = caller.rider_id
    async with service.work() as work:
        team = await store.lock(work.conn, team_id)
        if team is None or (team.closed and body.member):
            raise not_found("team")
        if body.member:
            rider = (await known_riders.by_id(work.conn, [rider_id])).get(rider_id)
            if (refusal := rider_refusal(rider)) is not None:
                raise refusal
            await store.join(work.conn, team_id, rider_id)
        else:
            await store.leave(work.conn, team_id, rider_id)
        return await _shown(work.conn, team_id)


@router.get("/v1/tasks/teams/{team_id}/members")
@allow(AnyOf(Operator, Rider), refuses=(NOT_FOUND,))
async def list_members(team_id: UUID, caller: Caller, conn: Reading, asked: Asked) -> Page[MemberOut]:
    """A team's members, for its leader and the community that it is in."""
    team = await store.team(conn, team_id)
    if team is None or not (
        (caller.has("operator") and caller.covers(team.area_code))
        or (caller.has("rider") and team.leader_id == caller.rider_id)
    ):
        raise not_found("team")
    found = await store.members(conn, team_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, lambda rider_id: MemberOut(rider_id=rider_id), lambda rider_id: rider_id)


@router.delete("/v1/tasks/teams/{team_id}/members/{rider_id}", status_code=204)
@allow(AnyOf(Operator, Rider), refuses=(NOT_FOUND,))
async def remove_member(team_id: UUID, rider_id: UUID, caller: Caller, service: CurrentService) -> None:
    """Take somebody out of a team, as its leader or the community that it is in."""
    async with service.work() as work:
        team = await store.lock(work.conn, team_id)
        if team is None or not (
            (caller.has("operator") and caller.covers(team.area_code))
            or (caller.has("rider") and team.leader_id == caller.rider_id)
        ):
            raise not_found("team")
        await store.leave(work.conn, team_id, rider_id)


async def _shown(conn: Connection, team_id: UUID) -> TeamOut:
    found = await store.team(conn, team_id)
    assert found is not None, "it is locked"
    return _out(found)


def _out(team: store.Team) -> TeamOut:
    values = {name: getattr(team, name) for name in TeamOut.model_fields if hasattr(team, name)}
    return TeamOut(**values, has_leader=team.leader_id is not None)
