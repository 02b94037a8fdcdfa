"""What riders do at stations: a visit that counts once, stars and words that somebody has to answer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.stations import metrics, problems
from services.stations.domain.living import TAKES_VISITS
from services.stations.domain.words import Feedback, Station, is_visit_code
from services.stations.store import given, live, visits
from services.stations.store import stations as store
from services.stations.store.visits import Sum
from services.stations.usecases.living import require_rider
from services.stations.usecases.rules import Rules
from shared.events.deed_done import DEED_DONE, DeedDone
from shared.events.public_station_feedback_changed import (
    PUBLIC_STATION_FEEDBACK_CHANGED,
    PublicStationFeedbackChanged,
)
from shared.geo.metres import metres_per_degree
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver
from shared.kit.problems import not_found

VISIT = "station-visit"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rider is, WGS-84: compared with the station, and kept nowhere."""

    lng: float
    lat: float
    accuracy_m: float


async def visit(rules: Rules, work: Work, station_id: UUID, rider_id: UUID, proof: str | Place) -> bool:
    """Count a rider's visit, by the station's code or by where they are; False: it is counted already that day.

    Raises:
        Refusal: the rider may not act; no such station; `station_not_open`, `wrong_station_code`,
            `not_at_the_station`.
    """
    await require_rider(work.conn, rider_id)
    one = await store.station(work.conn, station_id)
    if one is None or one.retired_reason is not None:
        raise not_found("station")
    if one.state not in TAKES_VISITS:
        raise problems.STATION_NOT_OPEN(state=one.state)
    if isinstance(proof, Place):
        if distance_m(one, proof) > rules.radius_m + min(proof.accuracy_m, rules.accuracy_m):
            raise problems.NOT_AT_THE_STATION()
    elif not is_visit_code(rules.visit_keys, one.id, one.code_epoch, proof):
        raise problems.WRONG_STATION_CODE()
    way = "near" if isinstance(proof, Place) else "code"
    if not await visits.visit(work.conn, one.id, rider_id, rules.day(work.now), way):
        return False
    metrics.VISITS.labels(way).inc()
    deed = DeedDone(
        deed_id=new_id(), action=VISIT, rider_id=rider_id, area_code=one.area_code, outcome=way, done_at=work.now,
        confirmed_by=one.code, changed_at=work.now,
    )  # fmt: skip
    work.publish(DEED_DONE, deed, version=1, service="stations")
    return True


def distance_m(one: Station, place: Place) -> float:
    """Metres in a straight line."""
    east, north = metres_per_degree(one.lat)
    return math.hypot((place.lng - one.lng) * float(east), (place.lat - one.lat) * float(north))


async def fold_visits(rules: Rules, rows_max: int, work: Work) -> int:
    """Visits of days before become numbers of their days, and nobody's; how many."""
    return await visits.fold(work.conn, rules.day(work.now), rows_max)


async def give_feedback(rules: Rules, work: Work, station_id: UUID, rider_id: UUID, stars: int, words: str) -> Feedback:
    """Stars, and words that the managing unit has to answer in time; once a rider, station and day.

    Raises:
        Refusal: the rider may not act; no such station; `feedback_given`.
    """
    await require_rider(work.conn, rider_id)
    one = await store.station(work.conn, station_id)
    if one is None or one.retired_reason is not None:
        raise not_found("station")
    id_, on, due = new_id(), rules.day(work.now), work.now + rules.answer
    if not await given.give_feedback(work.conn, id_, one.id, rider_id, on, stars, words, due):
        raise problems.FEEDBACK_GIVEN()
    await visits.add(work.conn, [Sum(one.id, on, ratings=1, stars=stars)])
    kept = await given.one_feedback(work.conn, id_)
    assert kept is not None, "inserted in this transaction"
    _publish(work, one, kept, version=1)
    return kept


async def answer(work: Work, one: Station, feedback_id: UUID, words: str, by: str) -> Feedback:
    """What the managing unit of a station says; the first answer stays.

    Raises:
        Refusal: `feedback_answered`.
    """
    done = await given.answer(work.conn, feedback_id, words, by)
    if done is None:
        raise problems.FEEDBACK_ANSWERED()
    _publish(work, one, done, version=2)
    return done


def _publish(work: Work, one: Station, kept: Feedback, *, version: int) -> None:
    """Without the rider and without their words: 1 when it is given, 2 answered."""
    body = PublicStationFeedbackChanged(
        feedback_id=kept.id, station_id=one.id, station_code=one.code, area_code=one.area_code,
        managing_unit=one.managing_unit, stars=kept.stars, state=kept.state, due_at=kept.due_at, changed_at=work.now,
    )  # fmt: skip
    work.publish(PUBLIC_STATION_FEEDBACK_CHANGED, body, version=version)


async def measure_feedback(conn: Connection) -> None:
    """How many riders wait for an answer beyond its time."""
    metrics.FEEDBACK_OVERDUE.set(await given.overdue(conn))


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove what is riders' own: their visits stay as numbers, their stars without words, and nobody's."""
    riders = [one.rider_id for one in leavers]
    await visits.forget(conn, riders)
    await live.forget(conn, riders)
    await given.forget(conn, riders)
