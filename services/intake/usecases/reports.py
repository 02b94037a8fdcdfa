"""Reports: one way in for HTTP and Kafka, in batches. The number of statements doesn't depend on the batch."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from services.intake import domain, metrics, problems
from services.intake.domain import WAITS, Accepted, Known, Submission, Waits
from services.intake.store import photos as photo_store
from services.intake.store import reports as report_store
from services.intake.store import waiting as waiting_store
from services.intake.usecases.waiting import other_content, wait
from shared.catalog import Catalogue
from shared.events.common import Photo
from shared.events.inbound_reports import INBOUND_REPORTS, ReportSubmission
from shared.events.report_received import REPORT_RECEIVED, ReportReceived
from shared.geo.datum import to_wgs84
from shared.kit.ids import new_id
from shared.kit.messaging import inbox
from shared.kit.messaging.cloudevents import content_of
from shared.kit.messaging.work import Event, Work, begin
from shared.kit.postgres.db import Connection, Pool, reading
from shared.kit.privacy.masking import masked_each
from shared.kit.refusals import Refusal
from shared.known import companies as known_companies
from shared.known import riders as known_riders
from shared.known.domain import Rider

Outcome = Accepted | Refusal
_GRAIN_DEGREES = 7  # decimals: one centimetre


def of_company(
    company: str, body: ReportSubmission, traceparent: str | None = None, event_id: UUID | None = None
) -> Submission:
    """A company's report. `company` comes from the signature or the topic, never from the content."""
    place = body.place
    return Submission(
        company,
        body.external_id,
        company,
        body.rider,
        None,
        body.kind,
        place.lng,
        place.lat,
        place.datum,
        place.accuracy_m,
        body.occurred_at,
        body.text,
        body.photos,
        traceparent,
        event_id,
        content_of(event_id, body) if event_id is not None else None,
    )


def place_of(source: str) -> str:
    """Where a source's events come in, for their ids: a company's topic, whether Kafka or HTTP brings them."""
    return INBOUND_REPORTS.name.format(company=source)


async def take_events(
    catalogue: Catalogue, work: Work, events: Sequence[Event[ReportSubmission]], *, waits: Waits = WAITS
) -> None:
    """Reports from companies' topics; what is refused becomes a dead letter with the reason. A report of a rider who
    isn't known, has not agreed or isn't active waits for the change that may be on its way, unless an operator replays
    it: its letter is there already, and stays."""
    submissions = [of_company(event.company or "", event.data, event.traceparent) for event in events]
    outcomes: list[Outcome | None] = [*await receive(catalogue, work, submissions, events)]
    early = [
        (index, (events[index], submissions[index], outcome))
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Refusal) and domain.is_for_now(outcome)
    ]
    if early and waits.seconds and not work.replays:
        answers = await wait(work, waits, [one for _, one in early])
        for (index, _), answer in zip(early, answers, strict=True):
            outcomes[index] = answer
    for event, outcome in zip(events, outcomes, strict=True):
        if isinstance(outcome, Refusal):
            # what an erased rider says is not written down, also not as a dead letter
            work.reject(event, outcome, keep=outcome.problem is not problems.RIDER_ERASED)
    count("kafka", (outcome for outcome in outcomes if outcome is not None))


async def receive(
    catalogue: Catalogue,
    work: Work,
    submissions: Sequence[Submission],
    causes: Sequence[Event[Any]] | None = None,
    *,
    newcomers: bool = False,
) -> list[Outcome]:
    """Check, keep and publish reports of any senders.

    Args:
        catalogue: the kinds of report.
        work: the transaction; a report and its event commit together.
        submissions: in the order they came; of two with one number the first counts.
        causes: the consumed event of each submission, where there is one.
        newcomers: take companies' riders who aren't known for registered; of a rehearsal only.

    Returns:
        One outcome per submission, in order.
    """
    ids, contents = [one.event_id for one in submissions], [one.event_content for one in submissions]
    repeated, otherwise = await inbox.enter_stated(work.conn, ids, contents)
    known = await _known(work.conn, submissions)
    if newcomers:
        known = _with_newcomers(known, submissions)
    riders = [known.rider_of(one) for one in submissions]
    outcomes: list[Outcome | None] = []
    good: dict[UUID, int] = {}
    rows = []
    levels: list[str | None] = []
    for index, (one, rider) in enumerate(zip(submissions, riders, strict=True)):
        kind = catalogue.kind(one.kind, work.now)
        levels.append(kind.level if kind is not None else None)
        refusal = domain.refusal_of(one, rider, known, levels[index], work.now)
        outcomes.append(refusal)
        if refusal is None and rider is not None and index not in repeated:
            report_id = new_id()
            good[report_id] = index
            rows.append(
                report_store.NewReport(
                    report_id=report_id, source=one.source, external_id=one.external_id, company=rider.company,
                    rider_id=rider.rider_id, kind=one.kind, content_hash=domain.content_hash(one),
                )
            )  # fmt: skip
    fresh = await report_store.insert_reports(work.conn, rows, work.now) if rows else set()
    accepted = [(report_id, index) for report_id, index in good.items() if report_id in fresh]
    for report_id, index in accepted:
        outcomes[index] = Accepted(report_id, work.now, fresh=True)
    if accepted:
        await _publish(work, submissions, riders, levels, known, accepted, causes)
        if known.photos:
            await _attach_photos(work.conn, submissions, known, accepted)
    answers = await _answer_repeats(work.conn, submissions, outcomes, repeated)
    for index in otherwise:
        answers[index] = _event_known()
    refused = (
        one.event_id
        for index, (one, answer) in enumerate(zip(submissions, answers, strict=True))
        if isinstance(answer, Refusal) and index not in repeated and one.event_id is not None
    )
    await inbox.give_up(work.conn, refused)
    return answers


async def rehearse(
    catalogue: Catalogue, pool: Pool, submissions: Sequence[Submission], *, newcomers: bool = False
) -> list[Outcome]:
    """The outcomes that `receive` would have, from `receive` itself: its transaction is rolled back.

    `newcomers`: as if companies' riders who aren't known had been registered before.
    """
    async with reading(pool) as conn:
        transaction = conn.transaction()
        await transaction.start()
        try:
            return await receive(catalogue, await begin(conn), submissions, newcomers=newcomers)
        finally:
            await transaction.rollback()


async def find(conn: Connection, report_id: UUID) -> domain.AcceptedReport | None:
    """One accepted report."""
    return await report_store.report(conn, report_id)


def count(channel: str, outcomes: Iterable[Outcome]) -> None:
    """Count outcomes."""
    for name, count in Counter(map(_outcome_name, outcomes)).items():
        metrics.REPORTS.labels(channel=channel, outcome=name).inc(count)


def _outcome_name(outcome: Outcome) -> str:
    if isinstance(outcome, Refusal):
        return outcome.code
    return "accepted" if outcome.fresh else "repeated"


async def _known(conn: Connection, submissions: Sequence[Submission]) -> Known:
    """Companies, riders and photos of a batch; what nobody names is not asked for."""
    companies = {one.company for one in submissions if one.company is not None}
    numbers = {(one.company, one.rider) for one in submissions if one.company is not None and one.rider is not None}
    rider_ids = {one.rider_id for one in submissions if one.rider_id is not None}
    photo_ids = {text: photo_id for one in submissions for text in one.photos if (photo_id := _photo_id(text))}
    photos = await photo_store.lock_photos(conn, set(photo_ids.values())) if photo_ids else {}
    by_id = await known_riders.by_id(conn, rider_ids)
    # whoever reports by their own app depends on their company as well
    return Known(
        companies=await known_companies.active_of(conn, companies | {rider.company for rider in by_id.values()}),
        riders=await known_riders.by_number(conn, numbers),
        riders_by_id=by_id,
        photos={text: photos[str(photo_id)] for text, photo_id in photo_ids.items() if str(photo_id) in photos},
    )


def _with_newcomers(known: Known, submissions: Sequence[Submission]) -> Known:
    """The same with a stand-in for each rider who isn't known: everything behind them is checked as ever."""
    riders = dict(known.riders)
    for one in submissions:
        if one.company is not None and one.rider is not None and (one.company, one.rider) not in riders:
            riders[one.company, one.rider] = domain.newcomer(new_id(), one.company, one.rider)
    return replace(known, riders=riders)


def _photo_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def _publish(
    work: Work,
    submissions: Sequence[Submission],
    riders: Sequence[Rider | None],
    levels: Sequence[str | None],
    known: Known,
    accepted: Sequence[tuple[UUID, int]],
    causes: Sequence[Event[Any]] | None,
) -> None:
    places = _wgs84([submissions[index] for _, index in accepted])
    words = await masked_each(submissions[index].text for _, index in accepted)
    for (report_id, index), (lng, lat), text in zip(accepted, places, words, strict=True):
        one, rider = submissions[index], riders[index]
        assert rider is not None, "an accepted report has a rider"
        photos = _photos(one, known) if one.photos else ()
        # validating a dict runs outside Python: half the time of model_construct
        body = ReportReceived.model_validate(
            {
                "report_id": report_id,
                "rider_id": rider.rider_id,
                "company": rider.company,
                "external_id": one.external_id,
                "kind": one.kind,
                "level": levels[index],
                "lng": lng,
                "lat": lat,
                "accuracy_m": one.accuracy_m,
                "text": text,
                "photos": photos,
                "occurred_at": one.occurred_at,
                "received_at": work.now,
                "by_company": one.company is not None,
            }
        )
        cause = causes[index] if causes is not None else None
        work.publish(REPORT_RECEIVED, body, version=1, cause=cause, traceparent=one.traceparent)


def _photos(submission: Submission, known: Known) -> tuple[Photo, ...]:
    used = dict.fromkeys(known.photos[text] for text in submission.photos)
    return tuple(Photo(photo_id=str(photo.photo_id), sha256=photo.sha256, phash=photo.phash) for photo in used)


def _wgs84(submissions: Sequence[Submission]) -> list[tuple[float, float]]:
    """Places as WGS-84 (lng, lat), converted in one go per datum."""
    places: list[tuple[float, float]] = [(0.0, 0.0)] * len(submissions)
    for datum in {one.datum for one in submissions}:
        at = [index for index, one in enumerate(submissions) if one.datum == datum]
        lng, lat = to_wgs84([submissions[i].lng for i in at], [submissions[i].lat for i in at], datum)
        converted = zip(lng.round(_GRAIN_DEGREES).tolist(), lat.round(_GRAIN_DEGREES).tolist(), strict=True)
        for index, place in zip(at, converted, strict=True):
            places[index] = place
    return places


async def _attach_photos(
    conn: Connection, submissions: Sequence[Submission], known: Known, accepted: Sequence[tuple[UUID, int]]
) -> None:
    uses: dict[UUID, UUID] = {}
    for report_id, index in accepted:
        for text in submissions[index].photos:
            uses.setdefault(known.photos[text].photo_id, report_id)
    if uses:
        await photo_store.attach(conn, list(uses.items()))


async def _answer_repeats(
    conn: Connection, submissions: Sequence[Submission], outcomes: Sequence[Outcome | None], repeated: set[int]
) -> list[Outcome]:
    """Same number and content: the first answer again, even if refused by now; other content is refused.

    A number that waits for its rider has no answer yet: the same again waits, too. Refused is also an event that came
    before (its place in `repeated`) and made no such report.
    """
    numbers = {
        (one.source, one.external_id)
        for one, outcome in zip(submissions, outcomes, strict=True)
        if not isinstance(outcome, Accepted)
    }
    if not numbers:
        return [outcome for outcome in outcomes if outcome is not None]
    earlier = await report_store.earlier(conn, numbers)
    # neither accepted nor refused: the number was another's a moment ago, or waits
    taken = {
        (one.source, one.external_id)
        for one, outcome in zip(submissions, outcomes, strict=True)
        if outcome is None and (one.source, one.external_id) not in earlier
    }
    waiting = await waiting_store.said(conn, taken) if taken else {}
    answers: list[Outcome] = []
    for index, (one, outcome) in enumerate(zip(submissions, outcomes, strict=True)):
        if isinstance(outcome, Accepted):
            answers.append(outcome)
            continue
        before, waits = earlier.get((one.source, one.external_id)), waiting.get((one.source, one.external_id))
        if before is not None and before.content_hash == domain.content_hash(one):
            answers.append(Accepted(before.report_id, before.received_at, fresh=False))
        elif outcome is None and waits is not None and waits.content_hash == domain.content_hash(one):
            answers.append(domain.waits_yet(waits.code))
        else:
            answers.append(outcome or (_event_known() if index in repeated else other_content()))
    return answers


def _event_known() -> Refusal:
    detail = "an event of this source and id came before: with other content, or as a dead letter"
    return problems.EVENT_KNOWN(detail, field="id")
