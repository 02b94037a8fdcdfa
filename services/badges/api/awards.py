"""A rider's own badges and level; a badge's picture, and whether it is real, for whoever was shown it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from services.badges.domain import Award, Rule, handle, in_force, is_signed, level_of, ranks, signature
from services.badges.picture import svg
from services.badges.settings import Settings
from services.badges.store import standings as store
from shared.kit import clock
from shared.kit.auth import Caller, Public, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["badges"])
Signature = Annotated[str, Query(pattern="^[0-9a-f]{32}$", description="as it stands on the badge")]
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "max-age=60"}


class BadgeOut(Answer):
    """A badge, and the addresses to show it by: whoever has them may open them."""

    award_id: UUID
    code: str
    zh: str
    en: str
    awarded_at: datetime
    valid: bool = Field(description="false: what it was given for was taken back")
    picture: str
    verify: str


class LevelOut(Answer):
    """A level, and from how many points on it is reached."""

    code: str
    zh: str
    en: str
    least: int
    rank: int = Field(description="its place among levels, from 1, 0 where everybody has it; as offers ask for it")


class MineOut(Answer):
    """What a rider has reached, by credited reports and other deeds."""

    handle: str = Field(description="what others read on boards in place of a name")
    on_boards: bool
    points: int
    reports: int = Field(description="how many reports and other deeds were credited")
    streak: int = Field(description="days in a row with something credited, by the city's days; 0 once one was missed")
    best_streak: int
    level: LevelOut | None
    next_level: LevelOut | None
    badges: list[BadgeOut]


class OnBoardsIn(Body):
    """Whether the rider wants to be on boards, under their handle."""

    on_boards: bool


class OnBoardsOut(Answer):
    """Whether the rider is on boards."""

    on_boards: bool


class VerifiedOut(Answer):
    """A badge that is ours, as whoever was shown it reads it."""

    award_id: UUID
    zh: str
    en: str
    handle: str
    awarded_on: date = Field(description="by the city's day")
    valid: bool


@router.get("/v1/badges/me")
@allow(Rider)
async def read_mine(caller: Caller, conn: Reading, settings: Given[Settings]) -> MineOut:
    """The caller's level, streak and badges."""
    rider_id, now = caller.rider_id, clock.now()  # process clock: shown only
    standing = await store.standing(conn, rider_id)
    levels = [one for one in in_force(await store.rules(conn), now) if one.kind == "level"]
    level = level_of(levels, standing)
    above = [one for one in levels if standing.of(one.measure) < one.least]
    return MineOut(
        handle=handle(settings.handle_key(), rider_id),
        on_boards=not await store.off_boards_among(conn, [rider_id]),
        points=standing.points,
        reports=standing.reports,
        streak=standing.streak_at(now.astimezone(settings.city_zone).date()),
        best_streak=standing.best_streak,
        level=_level(level, levels),
        next_level=_level(min(above, key=lambda one: one.least, default=None), levels),
        badges=[_badge(one, settings) for one in await store.awards(conn, rider_id)],
    )


@router.put("/v1/badges/me/boards")
@allow(Rider)
async def set_on_boards(body: OnBoardsIn, caller: Caller, service: CurrentService) -> OnBoardsOut:
    """Be on boards or not, at once; again changes nothing."""
    async with service.work() as work:
        await store.show(work.conn, caller.rider_id, body.on_boards, work.now)
    return OnBoardsOut(on_boards=body.on_boards)


@router.get(
    "/v1/badges/{award_id}.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "the picture"}},
)
@allow(Public, refuses=(NOT_FOUND,))
async def read_picture(award_id: UUID, signature: Signature, conn: Reading, settings: Given[Settings]) -> Response:
    """The badge as a picture, for whoever has its address."""
    award = await _signed(award_id, signature, conn, settings)
    day = _day(award, settings).isoformat()
    name = handle(settings.handle_key(), award.rider_id)
    picture = svg(award, name, (settings.city_name_zh, settings.city_name_en), day, signature)
    return Response(picture, media_type="image/svg+xml", headers=_HEADERS)


@router.get("/v1/badges/{award_id}/verify")
@allow(Public, refuses=(NOT_FOUND,))
async def verify(award_id: UUID, signature: Signature, conn: Reading, settings: Given[Settings]) -> VerifiedOut:
    """Whether a badge is ours, and valid still; 404 for one that isn't."""
    award = await _signed(award_id, signature, conn, settings)
    return VerifiedOut(
        award_id=award.award_id, zh=award.zh, en=award.en, handle=handle(settings.handle_key(), award.rider_id),
        awarded_on=_day(award, settings), valid=award.valid,
    )  # fmt: skip


async def _signed(award_id: UUID, given: str, conn: Reading, settings: Settings) -> Award:
    if not is_signed(settings.badge_keys(), award_id, given):
        raise not_found("badge")
    award = await store.one_award(conn, award_id)
    if award is None:
        raise not_found("badge")
    return award


def _day(award: Award, settings: Settings) -> date:
    return award.awarded_at.astimezone(UTC).astimezone(settings.city_zone).date()


def _badge(one: Award, settings: Settings) -> BadgeOut:
    signed = signature(settings.badge_keys()[0], one.award_id)
    return BadgeOut(
        award_id=one.award_id, code=one.code, zh=one.zh, en=one.en, awarded_at=one.awarded_at, valid=one.valid,
        picture=f"/v1/badges/{one.award_id}.svg?signature={signed}",
        verify=f"/v1/badges/{one.award_id}/verify?signature={signed}",
    )  # fmt: skip


def _level(rule: Rule | None, levels: Sequence[Rule]) -> LevelOut | None:
    if rule is None:
        return None
    return LevelOut(code=rule.code, zh=rule.zh, en=rule.en, least=rule.least, rank=ranks(levels)[rule.code])
