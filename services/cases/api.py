"""HTTP of the cases service."""

from datetime import UTC, datetime
from typing import Annotated, get_args
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime, Field

from services.cases import domain, problems, store, usecases
from services.cases.domain import Case, Order, Person, Taken
from services.cases.store.listing import Listing, page
from services.cases.usecases import Rules, Wish
from shared.events.case_changed import CaseState
from shared.events.common import AnyZone, AreaCode
from shared.events.outside import PLAIN_FORM, Words
from shared.kit import auth
from shared.kit.auth import AnyOf, Caller, Principal, allow, policy_router
from shared.kit.http.items import ItemProblem
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.privacy.masking import masked, masked_each
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.refusals import Refusal
from shared.kit.service import CurrentService, Given, Reading, Service
from shared.kit.telemetry.tracing import current_traceparent

router = policy_router(tags=["cases"])
DepartmentCode = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$"), PLAIN_FORM]
Office = AnyOf(auth.GridWorker, auth.Dispatcher, auth.Department, auth.Verifier, auth.Operator)
Anybody = AnyOf(Office, auth.Rider)
WORDS_SHOWN = 20

STEP_OF: dict[str, domain.Step] = {
    "claim": "claimed",
    "request-info": "info_requested",
    "give-info": "info_given",
    "handle": "handled",
    "verify": "verified",
    "rework": "rework_ordered",
    "close": "closed",
    "invalidate": "invalidated",
    "return": "returned",
    "redispatch": "redispatched",
    "reopen": "reopened",
}
"""The word in a path → the step of the transition table."""
_POLICY_OF = {
    "grid_worker": auth.GridWorker,
    "dispatcher": auth.Dispatcher,
    "department": auth.Department,
    "verifier": auth.Verifier,
    "operator": auth.Operator,
    "rider": auth.Rider,
}
_OF_STEPS = (
    NOT_FOUND,
    problems.WRONG_STATE,
    problems.SAME_PERSON,
    problems.OTHER_WORKER,
    problems.WRONG_GRID,
    problems.TOO_LATE,
)


class StepIn(Body):
    """What belongs to a step.

    `grid_code`: of a claim, which of an ambiguous case's grids; of redispatch, the new one. Without it the case stays
    where it is: a grid of the map in force, and the caller's. `department`: of redispatch; any code, noted as it is.
    """

    note: Annotated[Words, Field(max_length=500)] = ""
    grid_code: AreaCode | None = None
    department: DepartmentCode | None = None


class StepItemIn(StepIn):
    """One step of a batch."""

    case_id: UUID
    step: Annotated[str, Field(pattern=f"^({'|'.join(STEP_OF)})$", examples=["claim"]), PLAIN_FORM]


class StepsIn(Body):
    """Steps, taken in this order."""

    items: Annotated[list[StepItemIn], Field(min_length=1, max_length=usecases.STEPS_PER_REQUEST_MAX)]


class ActorOut(Answer):
    """Who did it."""

    name: str | None
    role: str | None


class CaseOut(Answer):
    """A case. The place is WGS-84 in degrees; `report_count` reports are of this one thing."""

    case_id: UUID
    version: int
    state: CaseState
    kind: str
    level: str
    grid_code: str
    alternatives: list[str]
    department: str | None
    lng: float
    lat: float
    opened_at: AwareDatetime
    due_at: AwareDatetime
    changed_at: AwareDatetime
    claimed_by: ActorOut | None
    report_count: int

    @staticmethod
    def of(case: Case) -> "CaseOut":
        """The case as people see it: without any rider."""
        claimed = case.claimed_by
        return CaseOut(
            case_id=case.case_id,
            version=case.version,
            state=case.state,
            kind=case.kind,
            level=case.level,
            grid_code=case.grid_code,
            alternatives=list(case.alternatives),
            department=case.department,
            lng=case.lng,
            lat=case.lat,
            opened_at=case.opened_at,
            due_at=case.due_at,
            changed_at=case.changed_at,
            claimed_by=ActorOut(name=claimed.name, role=claimed.role) if claimed else None,
            report_count=case.report_count,
        )


class StepOut(Answer):
    """A step that the case took; a rider is never named."""

    version: int
    step: str
    state: CaseState
    actor: ActorOut | None
    report_id: UUID | None
    note: str
    at: AwareDatetime


class WordsOut(Answer):
    """What one report says; `version` is that of the step that brought it."""

    version: int
    report_id: UUID
    text: str
    photos: list[str]


class CaseDetailOut(CaseOut):
    """A case with its history and, for those who work on it, what its first reports say.

    `steps`: the first hundred, then the latest that people took. `words`: at most 20; `…/words` has them all.
    """

    steps: list[StepOut]
    words: list[WordsOut]


class StepItemOut(Answer):
    """What became of one step of a batch."""

    case_id: UUID
    ok: bool
    state: CaseState | None
    version: int | None
    problem: ItemProblem | None


class StepsOut(Answer):
    """One item per step, in the same order."""

    items: list[StepItemOut]


@router.get("/v1/cases")
@allow(Office)
async def list_cases(
    caller: Caller,
    conn: Reading,
    asked: Asked,
    grid: Annotated[AreaCode | None, Query(description="code of a grid, or of an area around grids")] = None,
    state: CaseState | None = None,
    due_before: AnyZone | None = None,
) -> Page[CaseOut]:
    """Cases in the caller's areas, the most urgent first; without `state` all that are not closed or invalid."""
    listing = Listing(
        areas=_areas(caller, grid),
        tree=caller.tree,
        state=state,
        due_before=due_before,
        after=asked.after(datetime, UUID) or (datetime.min.replace(tzinfo=UTC), UUID(int=0)),
        rows_max=asked.rows,
    )
    found = await page(conn, listing)
    return asked.page(found, CaseOut.of, lambda case: (case.due_at, case.case_id))


@router.get("/v1/cases/{case_id}")
@allow(Anybody, refuses=(NOT_FOUND,))
async def read_case(case_id: UUID, caller: Caller, conn: Reading) -> CaseDetailOut:
    """A case with every step it took; for its reporters, and for those whose area it is in."""
    case = await store.case(conn, case_id)
    person = await usecases.known_reporter(conn, _person(caller), [case_id])
    if case is None or not domain.may_see(case, person):
        raise not_found("case")
    steps = await store.steps(conn, case_id)
    # What other reporters wrote is not for a reporter: neither in reports nor with a step.
    at_work = domain.works_on(case, person)
    words = await store.words(conn, case_id, 0, WORDS_SHOWN) if at_work else []
    return CaseDetailOut(
        **CaseOut.of(case).model_dump(),
        steps=[_step_out(step, with_note=at_work or step.actor_id == person.id) for step in steps],
        words=[WordsOut.model_validate(one) for one in words],
    )


@router.get("/v1/cases/{case_id}/words")
@allow(Office, refuses=(NOT_FOUND,))
async def read_words(
    case_id: UUID,
    caller: Caller,
    conn: Reading,
    asked: Asked,
) -> Page[WordsOut]:
    """What a case's reports say, in the order in which they came; for those whose area it is in."""
    case = await store.case(conn, case_id)
    if case is None or not domain.may_see(case, _person(caller)):
        raise not_found("case")
    words = await store.words(conn, case_id, asked.after(int) or 0, asked.rows)
    return asked.page(words, WordsOut.model_validate, lambda one: one.version)


@router.post("/v1/cases:transition")
@allow(Office, timeout_s=20.0, writes=True)
async def take_steps(body: StepsIn, caller: Caller, service: CurrentService, rules: Given[Rules]) -> StepsOut:
    """Take up to 500 steps in one transaction; each has its own result, those refused leave the others as they are."""
    notes = await masked_each(item.note for item in body.items)
    wishes = [
        Wish(item.case_id, _order(STEP_OF[item.step], item, note)) for item, note in zip(body.items, notes, strict=True)
    ]
    results = await _take(service, rules, caller, wishes)
    return StepsOut(items=[_item(wish.case_id, one) for wish, one in zip(wishes, results, strict=True)])


def _step_route(word: str, step: domain.Step) -> None:
    """One route per row of the transition table, with the row's roles as its policy."""
    roles = [_POLICY_OF[role] for role in domain.TABLE[step].roles]

    async def take_step(
        case_id: UUID, caller: Caller, service: CurrentService, rules: Given[Rules], body: StepIn | None = None
    ) -> CaseOut:
        body = body or StepIn()
        (result,) = await _take(service, rules, caller, [Wish(case_id, _order(step, body, masked(body.note)))])
        if isinstance(result, Refusal):
            raise result
        return CaseOut.of(result.case)

    take_step.__name__ = f"{word.replace('-', '_')}_case"
    take_step.__doc__ = f"The case is {step}; 409 with its `state` where that allows no such step."
    allowed = allow(AnyOf(*roles) if len(roles) > 1 else roles[0], refuses=_OF_STEPS, writes=True)(take_step)
    router.post(f"/v1/cases/{{case_id}}/{word}")(allowed)


for _word, _step in STEP_OF.items():
    _step_route(_word, _step)


async def _take(service: Service, rules: Rules, caller: Principal, wishes: list[Wish]) -> list[Taken | Refusal]:
    async with service.work() as work:
        return await usecases.take_steps(work, rules, _person(caller), wishes, current_traceparent())


def _person(caller: Principal) -> Person:
    def dispatches_to(code: str) -> bool:
        return caller.tree.has_grid(code) and caller.covers(code)

    return Person(
        caller.id,
        caller.name,
        caller.roles,
        caller.covers,
        dispatches_to=dispatches_to,
        has_areas=bool(caller.areas),
    )


def _order(step: domain.Step, body: StepIn, note: str) -> Order:
    return Order(step, note, body.grid_code, body.department)


def _areas(caller: Principal, asked: str | None) -> tuple[str, ...] | None:
    """Areas to list: what the caller's and the asked one have in common; None is the whole city."""
    if asked is None:
        return None if caller.covers_city else tuple(sorted(set(caller.areas)))
    if caller.covers(asked):
        return (asked,)
    inside = tuple(sorted({area for area in caller.areas if caller.tree.covers(asked, area)}))
    if not inside:
        raise FORBIDDEN("not one of your areas")
    return inside


def _step_out(step: store.StepRow, *, with_note: bool) -> StepOut:
    actor = None
    if step.actor_role is not None:
        actor = ActorOut(name=None if step.actor_role == "rider" else step.actor_name, role=step.actor_role)
    return StepOut(
        version=step.version,
        step=step.step,
        state=step.state,
        actor=actor,
        report_id=step.report_id,
        note=step.note if with_note or step.actor_role != "rider" else "",
        at=step.at,
    )


def _item(case_id: UUID, result: Taken | Refusal) -> StepItemOut:
    if isinstance(result, Refusal):
        state = result.extras.get("state")
        return StepItemOut(case_id=case_id, ok=False, state=state, version=None, problem=ItemProblem.of(result))
    case = result.case
    return StepItemOut(case_id=case_id, ok=True, state=case.state, version=case.version, problem=None)


if set(get_args(domain.Step)) != {*STEP_OF.values(), "opened", "attached", "repeated", "carried_over"}:
    raise RuntimeError("a step of the transition table has no route")
