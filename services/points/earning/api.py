"""HTTP in: rules as a file, their dry run, and budgets with what waits for them."""

from collections.abc import Callable
from datetime import date, datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from services.points import problems
from services.points.earning import budgets, files, rehearsing, setting
from services.points.earning.budgets import Giving
from services.points.earning.dry_run import DryRun
from services.points.earning.rows import EARLIEST
from services.points.earning.rules import EVERYWHERE, RuleSet
from services.points.earning.terms import Terms
from services.points.store import budgets as budget_store
from services.points.store import rules as rule_store
from services.points.store.budgets import Budget
from services.points.store.rules import SetHead
from shared.events.common import AnyZone, AreaCode, AreaLevel
from shared.events.outside import INT64_MAX, RowId, Words
from shared.kit import clock
from shared.kit.auth import Caller, CityOperator, Operator, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.auth.principal import Principal
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading
from shared.kit.service.given import Given

router: APIRouter = policy_router(tags=["points"])
CSV_MAX = 400_000
POINTS_MAX = 10**12
RIDERS_MAX = 500
CSV = {"text/csv": {"schema": {"type": "string"}}}


class RuleSetOut(Answer):
    """All rules from an instant on, until those of the next set."""

    version: int
    effective_from: datetime
    set_by: str
    reason: str


class RulesOut(Page[RuleSetOut]):
    """Sets of rules by version, and the one in force."""

    current: RuleSetOut = Field(description="in force now, whatever was checked or begins later")


class RulesIn(Body):
    """A new set of rules, as a file. `after_version` is the newest version the caller has seen."""

    after_version: int = Field(ge=1, le=1_000_000)
    effective_from: AnyZone | None = Field(None, description="not in the past; null: now")
    reason: Words = Field(min_length=3, max_length=500)
    csv: Words = Field(max_length=CSV_MAX, description=f"UTF-8 with a header: {', '.join(files.COLUMNS)}")
    dry_run: bool = Field(False, description="check it, and keep nothing")


class DryRunIn(Body):
    """Rules that are tried out on what has happened."""

    csv: Words = Field(max_length=CSV_MAX, description="as for PUT /v1/points/rules")
    first: date | None = Field(None, description="the city's day; null: the first of last month")
    until: date | None = Field(None, description="the day after the last one; null: the first of this month")
    level: AreaLevel = Field("street", description="of the areas by which it is added up")
    riders: bool = Field(False, description=f"list those for whom most changes, {RIDERS_MAX} at most")


class DryRunSumOut(Answer):
    """Of one area and kind, or action. Points."""

    area: str
    kind: str
    n: int = Field(description="reports or deeds")
    riders: int
    was: int = Field(description="paid or promised")
    would: int


class DryRunRiderOut(Answer):
    """One rider's points."""

    rider_id: UUID
    was: int
    would: int


class DryRunOut(Answer):
    """What was paid, and what the rules would have paid. Budgets are not asked."""

    first: date
    until: date
    was: int
    would: int
    riders_changed: int = Field(description="riders who would have more or less")
    sums: list[DryRunSumOut]
    riders: list[DryRunRiderOut]


class BudgetOut(Answer):
    """One area's points for a time, in the city's days."""

    id: int
    area: str
    begins_on: date
    ends_on: date = Field(description="the first day that is no longer in it")
    parent_id: int | None = Field(description="the budget above, out of which it was filled")
    allocated: int
    given: int = Field(description="given on to budgets below")
    spent: int = Field(description="promised to riders, or theirs")
    waiting: int = Field(description="what riders wait for: add points, or refuse")
    room: int = Field(description="what can still be given or spent")


class AllocationOut(Answer):
    """Points that were put in, or taken out (negative)."""

    id: int
    points: int
    made_by: str
    reason: str
    made_at: datetime


class BudgetIn(Body):
    """A new budget. It is filled from the nearest one above that covers its days."""

    area: AreaCode
    begins_on: date
    ends_on: date
    points: int = Field(ge=0, le=POINTS_MAX)
    reason: Words = Field(min_length=3, max_length=500)


class AllocationIn(Body):
    """Points to put in, or to take out."""

    points: int = Field(ge=-POINTS_MAX, le=POINTS_MAX)
    reason: Words = Field(min_length=3, max_length=500)


class RefusalIn(Body):
    """Why what waits is not paid; riders read it."""

    reason: Words = Field(min_length=3, max_length=500)


# --- rules ------------------------------------------------------------------------------------------------------------


@router.get("/v1/points/rules")
@allow(Operator)
async def read_rules(conn: Reading, asked: Asked) -> RulesOut:
    """Sets of rules by version, and the one in force."""
    found = await rule_store.heads_page(conn, asked.after(int) or 0, asked.rows)
    shown = [RuleSetOut.model_validate(one) for one in found[: asked.limit]]
    current = await _in_force(conn, clock.now())  # process clock: shown only
    return RulesOut(items=shown, cursor=asked.next(found, lambda one: one.version), current=current)


@router.get(
    "/v1/points/rules/{version}.csv",
    response_class=Response,
    responses={200: {"content": CSV, "description": "UTF-8, with a header"}},
)
@allow(Operator, refuses=(NOT_FOUND,))
async def export_rules(version: RowId, conn: Reading, terms: Given[Terms]) -> Response:
    """One set as a file, which can be sent back."""
    if await rule_store.head(conn, version) is None:
        raise not_found("set of rules")
    text = files.write(await rule_store.rows(conn, version), terms.zone)
    return Response(text, media_type="text/csv; charset=utf-8")


@router.put("/v1/points/rules")
@allow(CityOperator, refuses=(problems.RULE_IN_THE_PAST, problems.RULE_MOVED_ON, problems.RULES_FAULTY))
async def set_rules(body: RulesIn, caller: Caller, service: CurrentService, terms: Given[Terms]) -> RulesOut:
    """Replace all rules from an instant on. What happened before is judged by the rules of then.

    `items` has the new set; `current` stays the one in force until then.
    """
    rows = setting.read(terms, body.csv)
    async with service.work() as work:
        head = SetHead(
            body.after_version + 1,
            body.effective_from or work.now,
            caller.name or caller.id,
            masked(body.reason),
            work.now,
        )
        if body.dry_run:
            await setting.check(work, head)
        else:
            await setting.add(work, head, rows)
        current = await _in_force(work.conn, work.now)
    return RulesOut(items=[RuleSetOut.model_validate(head)], cursor=None, current=current)


async def _in_force(conn: Connection, at: datetime) -> RuleSetOut:
    heads = await rule_store.heads(conn)
    return RuleSetOut.model_validate(next((one for one in reversed(heads) if one.effective_from <= at), heads[0]))


@router.post("/v1/points/rules/dry-run")
@allow(CityOperator, refuses=(problems.RULES_FAULTY, problems.DRY_RUN_TOO_LONG), timeout_s=120)
async def dry_run(body: DryRunIn, service: CurrentService, terms: Given[Terms]) -> DryRunOut:
    """What these rules would have paid for what happened, by area and kind; nothing is changed."""
    rows = setting.read(terms, body.csv)
    usual = rehearsing.last_month(clock.now().astimezone(terms.zone).date())  # process clock: a day for people
    first, until = body.first or usual[0], body.until or usual[1]
    if not 0 < (until - first).days <= rehearsing.DAYS_MAX:
        raise problems.DRY_RUN_TOO_LONG(days_max=rehearsing.DAYS_MAX)
    judge = RuleSet(0, EARLIEST, tuple(rows))
    run = await rehearsing.rehearse(terms, service.pool, judge, (first, until), body.level)
    return _dry_run_out(run, first, until, body.riders)


def _dry_run_out(run: DryRun, first: date, until: date, riders: bool) -> DryRunOut:
    sums = [
        DryRunSumOut(area=area, kind=kind, n=one.n, riders=len(one.riders), was=one.was, would=one.would)
        for (area, kind), one in sorted(run.sums.items())
    ]
    changed = [(rider, *points) for rider, points in run.riders.items() if points[0] != points[1]]
    changed.sort(key=lambda one: (-abs(one[2] - one[1]), str(one[0])))
    return DryRunOut(
        first=first,
        until=until,
        was=sum(one.was for one in sums),
        would=sum(one.would for one in sums),
        riders_changed=len(changed),
        sums=sums,
        riders=[DryRunRiderOut(rider_id=r, was=was, would=would) for r, was, would in changed[:RIDERS_MAX]]
        if riders
        else [],
    )


# --- budgets ----------------------------------------------------------------------------------------------------------


@router.get("/v1/points/budgets")
@allow(Operator)
async def read_budgets(caller: Caller, service: CurrentService, conn: Reading, asked: Asked) -> Page[BudgetOut]:
    """The budgets of the caller's areas, oldest first."""
    areas = None if caller.covers_city else service.tree.below(caller.areas)
    found = await budget_store.budgets(conn, asked.after(int) or 0, areas, asked.rows)
    return asked.page(found, BudgetOut.model_validate, lambda one: one.id)


@router.post("/v1/points/budgets", status_code=201, response_model=BudgetOut)
@allow(Operator, refuses=(problems.BUDGET_NOT_YOURS, problems.BUDGET_OVERLAPS, problems.BUDGET_SHORT,
                          problems.BUDGET_DAYS))  # fmt: skip
async def make_budget(
    body: BudgetIn, attempt: Idempotent, caller: Caller, service: CurrentService, terms: Given[Terms]
) -> Response:
    """Make a budget: whoever answers for the one above, or for the city where nothing stands above."""
    if body.ends_on <= body.begins_on:
        raise problems.BUDGET_DAYS()
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        made = await budgets.make(
            terms, work, body.area, body.begins_on, body.ends_on, _giving(caller, body.points, body.reason),
            _covers(caller),
        )  # fmt: skip
        return await attempt.store(work.conn, 201, BudgetOut.model_validate(made))


@router.get("/v1/points/budgets/{budget_id}/allocations")
@allow(Operator, refuses=(NOT_FOUND,))
async def read_allocations(budget_id: RowId, caller: Caller, conn: Reading, asked: Asked) -> Page[AllocationOut]:
    """What was put into a budget of the caller's areas, newest first."""
    await _found(conn, budget_id, caller)
    found = await budget_store.allocations(conn, budget_id, asked.after(int) or INT64_MAX, asked.rows)
    return asked.page(found, AllocationOut.model_validate, lambda one: one.id)


@router.post("/v1/points/budgets/{budget_id}/allocations", response_model=BudgetOut)
@allow(Operator, refuses=(NOT_FOUND, problems.BUDGET_NOT_YOURS, problems.BUDGET_SHORT))
async def allocate(
    budget_id: RowId, body: AllocationIn, attempt: Idempotent, caller: Caller, service: CurrentService
) -> Response:
    """Add points, out of what the budget above has left, or give some back. What waits is paid as far as they reach."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        found = await budgets.allocate(work, budget_id, _giving(caller, body.points, body.reason), _covers(caller))
        return await attempt.store(work.conn, 200, BudgetOut.model_validate(found))


@router.post("/v1/points/budgets/{budget_id}/refuse", response_model=BudgetOut)
@allow(Operator, refuses=(NOT_FOUND, problems.BUDGET_NOTHING_WAITS))
async def refuse_waiting(
    budget_id: RowId, body: RefusalIn, attempt: Idempotent, caller: Caller, service: CurrentService
) -> Response:
    """Refuse what waits for a budget now; riders are notified. What comes later waits again."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        by = caller.name or caller.id
        found = await budgets.refuse(work, budget_id, masked(body.reason), by, _covers(caller))
        return await attempt.store(work.conn, 200, BudgetOut.model_validate(found))


def _giving(caller: Principal, points: int, reason: str) -> Giving:
    return Giving(points, caller.name or caller.id, masked(reason))


def _covers(caller: Principal) -> Callable[[str], bool]:
    return lambda area: caller.covers_city if area == EVERYWHERE else caller.covers(area)


async def _found(conn: Reading, budget_id: RowId, caller: Principal) -> Budget:
    found = await budget_store.budget(conn, budget_id)
    if found is None or not caller.covers(found.area):
        raise not_found("budget")
    return found
