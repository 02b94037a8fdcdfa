"""Reports that have waited are taken up when their rider has come, or has agreed or is active; others are dead letters
when their time is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.intake import domain, metrics, problems
from services.intake.domain import Waits
from services.intake.settings import Settings
from services.intake.store import waiting as store
from services.intake.store.waiting import Waiting
from services.intake.usecases import refusals, reports
from shared.catalog import Catalogue
from shared.events.inbound_reports import INBOUND_REPORTS, ReportSubmission
from shared.kit.consuming.decode import Decoder, Unreadable
from shared.kit.consuming.pending import RefusedRecord
from shared.kit.letters import dead_letters
from shared.kit.letters.dead_letters import Burial
from shared.kit.letters.letter_bounds import Bounds
from shared.kit.messaging.headers import unpack
from shared.kit.messaging.work import Event, Record, Work
from shared.kit.refusals import Refusal

AT_ONCE = 200
EVERY_S, IDLE_S = 0.5, 2.0
CONSUMER = "intake"


@dataclass(frozen=True, slots=True)
class Late:
    """What taking up needs beside the work."""

    catalogue: Catalogue
    decoder: Decoder
    waits: Waits
    bounds: Bounds
    prefix: str
    """Before Kafka's names of topics."""

    async def take_up(self, work: Work) -> int:
        """Deal with records that need wait no longer; how many those were. All in the order in which they came."""
        rows = await store.take(work.conn, work.now, AT_ONCE)
        if not rows:
            return 0
        burials = [
            _buried(row, problems.RIDER_ERASED("the rider had the data erased", field="rider"))
            for row in rows
            if row.value is None
        ]
        said = [row for row in rows if row.value is not None]
        readable: list[tuple[Waiting, Event[ReportSubmission]]] = []
        for row, item in zip(said, self.decoder.decode([_record(row) for row in said]), strict=True):
            if isinstance(item, Unreadable):  # read once, and no more: its contract has changed meanwhile
                burials.append(Burial(item.record, row.event_id, "dead", item.code, item.detail, 1))
            else:
                readable.append((row, item))
        burials += await self._receive(work, readable)
        await self._bury(work, rows, burials)
        return len(rows)

    async def _receive(self, work: Work, readable: Sequence[tuple[Waiting, Event[ReportSubmission]]]) -> list[Burial]:
        """What becomes of records as of any: accepted or refused. Whose rider still lacks something waits on, and their
        company hears where it is something else than before."""
        events = [event for _, event in readable]
        submissions = [reports.of_company(event.company or "", event.data, event.traceparent) for event in events]
        outcomes = await reports.receive(self.catalogue, work, submissions, events)
        burials, again, changed, decided = [], [], [], []
        for (row, _), outcome in zip(readable, outcomes, strict=True):
            if isinstance(outcome, Refusal) and domain.is_for_now(outcome) and row.until > work.now:
                if row.code != outcome.code:
                    row.code = outcome.code
                    changed.append(row)
                again.append(row)
                continue
            decided.append(outcome)
            if isinstance(outcome, Refusal):
                burials.append(_buried(row, self._said(outcome)))
        if again:
            await store.add(work.conn, again)
            refusals.say_waiting(work, changed)
        reports.count("kafka", decided)
        metrics.WAITED.labels(outcome="taken").inc(len(decided) - len(burials))
        return burials

    def _said(self, refusal: Refusal) -> Refusal:
        if not domain.is_for_now(refusal):
            return refusal
        metrics.WAITED.labels(outcome="expired").inc()
        detail = f"{refusal.detail}; the report has waited for {self.waits.seconds} s"
        return refusal.problem(detail, field="rider")

    async def _bury(self, work: Work, rows: Sequence[Waiting], burials: Sequence[Burial]) -> None:
        if not burials:
            return
        numbers = {row.event_id: (row.company, row.external_id) for row in rows}

        async def heard(left: Sequence[Burial]) -> None:
            refused = []
            for one in left:
                assert one.event_id is not None, "what waits has an event"
                company, number = numbers[one.event_id]
                kept = one.content == "kept" and one.record.value is not None
                refused.append(RefusedRecord(company, number if kept else None, one.code, one.detail))
            await refusals.publish(work, refused)

        letters = await dead_letters.bury(
            work.conn, burials, consumer=CONSUMER, now=work.now, bounds=self.bounds, prefix=self.prefix, heard=heard
        )
        work.rows += letters


def of(settings: Settings, catalogue: Catalogue) -> Late:
    """As the settings say."""
    bounds = Bounds(settings.letter_bytes_max, settings.letter_rows_max)
    return Late(
        catalogue, Decoder(INBOUND_REPORTS, settings.topic_prefix), settings.waits, bounds, settings.topic_prefix
    )


def _record(row: Waiting) -> Record:
    place = row.topic, row.partition, row.record_offset
    return Record(*place, row.key, row.value, unpack(row.headers), row.record_ms)


def _buried(row: Waiting, refusal: Refusal) -> Burial:
    record = _record(row)
    if refusal.problem is problems.RIDER_ERASED:
        record = Record(row.topic, row.partition, row.record_offset, None, None, (), row.record_ms)
    return Burial(record, row.event_id, "rejected", refusal.code, refusal.detail, 1)
