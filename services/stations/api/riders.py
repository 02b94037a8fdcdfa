"""What riders do: check in, and say how they liked it. Their place is compared and kept nowhere."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import Query, Response
from pydantic import AfterValidator, Field, model_validator

from services.stations import problems
from services.stations.api.live import RIDERS_REFUSED
from services.stations.api.parameters import FIRST_ID, Staff, areas_of, require_keeper
from services.stations.domain.words import VISIT_CODE_CHARS
from services.stations.store import given
from services.stations.store import stations as store
from services.stations.usecases import visiting
from services.stations.usecases.rules import Rules
from services.stations.usecases.visiting import Place
from shared.events.common import Datum, Latitude, Longitude
from shared.events.outside import PLAIN_FORM, Words
from shared.geo.datum import point_to_wgs84
from shared.kit.auth import Caller, Rider, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.privacy.masking import masked
from shared.kit.problems import FORBIDDEN, NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["stations"])
_CODE = rf"^[A-Za-z2-7]{{{VISIT_CODE_CHARS}}}$"


class VisitIn(Body):
    """The code that hangs in the station, or where one is."""

    code: Annotated[str, Field(pattern=_CODE), PLAIN_FORM] | None = None
    lng: Longitude | None = None
    lat: Latitude | None = None
    datum: Datum = "wgs84"
    accuracy_m: float = Field(0, ge=0, le=100_000)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.lng is None) != (self.lat is None) or (self.code is None) == (self.lng is None):
            raise ValueError("the station's code, or lng and lat")
        return self

    def proof(self) -> str | Place:
        """In the use case's words."""
        if self.code is not None:
            return self.code
        assert self.lng is not None, "one of the two was checked"
        assert self.lat is not None, "they belong together"
        return Place(*point_to_wgs84(self.lng, self.lat, self.datum), self.accuracy_m)


class VisitOut(Answer):
    """The city's day of the visit, and whether it was counted now; false: it had been, that day."""

    visited_on: date
    counted: bool


class FeedbackIn(Body):
    """Stars, and words that the managing unit answers."""

    stars: int = Field(ge=1, le=5)
    words: Annotated[Words, AfterValidator(masked)] = Field("", max_length=500)


class FeedbackOut(Answer):
    """Stars and words of a rider, who isn't named; `waiting` until somebody answers, which is due by `due_at`."""

    id: UUID
    station_id: UUID
    stars: int
    words: str
    state: str
    given_at: datetime
    due_at: datetime
    answer: str
    answered_at: datetime | None


class AnswerIn(Body):
    """What the rider reads."""

    words: Annotated[Words, AfterValidator(masked)] = Field(min_length=1, max_length=500)


@router.put("/v1/stations/{station_id}/visit")
@allow(
    Rider,
    refuses=(
        NOT_FOUND,
        problems.STATION_NOT_OPEN,
        problems.NOT_AT_THE_STATION,
        problems.WRONG_STATION_CODE,
        *RIDERS_REFUSED,
    ),
    writes=True,
)
async def check_in(
    station_id: UUID, body: VisitIn, caller: Caller, service: CurrentService, rules: Given[Rules]
) -> VisitOut:
    """Check in at a station: a visit that counts once a day, and that points may pay. Again it is the same visit: it
    needs no key under which a request, and a place in it, would be remembered."""
    async with service.work() as work:
        counted = await visiting.visit(rules, work, station_id, caller.rider_id, body.proof())
        return VisitOut(visited_on=rules.day(work.now), counted=counted)


@router.post("/v1/stations/{station_id}/feedback", status_code=201, response_model=FeedbackOut)
@allow(Rider, refuses=(NOT_FOUND, problems.FEEDBACK_GIVEN, *RIDERS_REFUSED), writes=True)
async def give_feedback(
    station_id: UUID,
    body: FeedbackIn,
    caller: Caller,
    attempt: Idempotent,
    service: CurrentService,
    rules: Given[Rules],
) -> Response:
    """Rate a station, once a day; words reach its managing unit, which answers in time."""
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        words = body.words.strip()
        kept = await visiting.give_feedback(rules, work, station_id, caller.rider_id, body.stars, words)
        return await attempt.store(work.conn, 201, FeedbackOut.model_validate(kept))


@router.get("/v1/stations/feedback/me")
@allow(Rider)
async def read_my_feedback(caller: Caller, conn: Reading, asked: Asked) -> Page[FeedbackOut]:
    """What the caller has said, with answers."""
    found = await given.feedback_of(conn, caller.rider_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, FeedbackOut.model_validate, lambda one: one.id)


@router.get("/v1/stations/feedback")
@allow(Staff)
async def list_feedback(
    caller: Caller,
    conn: Reading,
    asked: Asked,
    rules: Given[Rules],
    station_id: UUID | None = None,
    waiting: Annotated[bool, Query(description="only what waits for an answer")] = False,
) -> Page[FeedbackOut]:
    """What riders have said of the stations that the caller keeps, or that lie in their areas; the oldest first."""
    kept = await store.kept_by(conn, caller.id)
    after, areas = asked.after(UUID) or FIRST_ID, areas_of(caller, rules)
    found = await given.feedback(conn, after, areas, kept, station_id, waiting=waiting, limit=asked.rows)
    return asked.page(found, FeedbackOut.model_validate, lambda one: one.id)


@router.put("/v1/stations/feedback/{feedback_id}/answer")
@allow(Staff, refuses=(NOT_FOUND, FORBIDDEN, problems.FEEDBACK_ANSWERED), writes=True)
async def answer_feedback(feedback_id: UUID, body: AnswerIn, caller: Caller, service: CurrentService) -> FeedbackOut:
    """Answer a rider's words; the first answer stays."""
    async with service.work() as work:
        kept = await given.one_feedback(work.conn, feedback_id)
        one = None if kept is None else await store.station(work.conn, kept.station_id)
        if one is None:
            raise not_found("feedback")
        await require_keeper(work.conn, caller, one)
        return FeedbackOut.model_validate(await visiting.answer(work, one, feedback_id, body.words.strip(), caller.id))
