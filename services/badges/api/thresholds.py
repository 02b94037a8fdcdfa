"""What badges and levels are given for: anybody may read it, operators of the city set it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from services.badges import problems
from services.badges.domain import Measure, Rule, in_force, ranks
from services.badges.store import standings as store
from shared.events.common import AnyZone
from shared.events.outside import ONE_LINE, PLAIN_FORM
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, Person, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.service import CurrentService, Reading

router: APIRouter = policy_router(tags=["badges"])
RuleCode = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"), PLAIN_FORM]
Title = Annotated[str, Field(min_length=1, max_length=24), ONE_LINE]


class ThresholdIn(Body):
    """A badge or level from an instant on. `after_version`: the newest version the caller has seen, 0 for a new one."""

    after_version: int = Field(ge=0, le=1_000_000)
    effective_from: AnyZone | None = Field(None, description="not in the past; null: now")
    kind: Literal["badge", "level"]
    zh: Title
    en: Title
    measure: Measure
    least: int = Field(ge=0, le=1_000_000_000)
    active: bool = Field(True, description="false: awarded no longer; who has it keeps it")


class ThresholdOut(Answer):
    """A threshold in force."""

    code: str
    version: int
    effective_from: datetime
    kind: Literal["badge", "level"]
    zh: str
    en: str
    measure: Measure
    least: int
    rank: int | None = Field(
        None, description="of a level: its place by threshold, from 1, 0 where everybody has it; as offers ask for it"
    )

    @staticmethod
    def of(rule: Rule, in_force: Iterable[Rule]) -> "ThresholdOut":
        """With its rank among those in force; None where it isn't yet, or is a badge's."""
        said = {name: getattr(rule, name) for name in ThresholdOut.model_fields if name != "rank"}
        return ThresholdOut(**said, rank=ranks(in_force).get(rule.code))


class ThresholdsOut(Answer):
    """All that are in force, by measure and threshold; a city has a few dozen."""

    items: list[ThresholdOut]


@router.get("/v1/badges/thresholds")
@allow(Person)
async def read_thresholds(conn: Reading) -> ThresholdsOut:
    """What each badge and level takes now."""
    rules = in_force(await store.rules(conn), clock.now())  # process clock: shown only
    return ThresholdsOut(items=[ThresholdOut.of(one, rules) for one in rules])


@router.put("/v1/badges/thresholds/{code}")
@allow(CityOperator, refuses=(problems.THRESHOLD_IN_THE_PAST, problems.THRESHOLD_MOVED_ON))
async def set_threshold(code: RuleCode, body: ThresholdIn, caller: Caller, service: CurrentService) -> ThresholdOut:
    """Set what a badge or level takes from an instant on. What was awarded stays awarded."""
    async with service.work() as work:
        effective_from = body.effective_from or work.now
        if effective_from < work.now:
            raise problems.THRESHOLD_IN_THE_PAST()
        said = body.model_dump(exclude={"after_version", "effective_from"})
        rule = Rule(code, body.after_version + 1, effective_from, set_by=caller.name or caller.id, **said)
        if not await store.add_rule(work.conn, rule, work.now):
            versions = [one.version for one in await store.rules(work.conn) if one.code == code]
            raise problems.THRESHOLD_MOVED_ON(current_version=max(versions, default=0))
        rules = in_force(await store.rules(work.conn), work.now)
        return ThresholdOut.of(rule, rules if rule in rules else ())
