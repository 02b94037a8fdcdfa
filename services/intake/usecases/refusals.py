"""Companies hear which of their records are no reports, and why; and which of them wait for their riders."""

from collections.abc import Iterable, Sequence

from services.intake import domain
from services.intake.store.waiting import Waiting
from shared.events.report_refused import REPORT_REFUSED, ReportRefused
from shared.kit.consuming.pending import RefusedRecord
from shared.kit.messaging.work import Work


async def publish(work: Work, refused: Sequence[RefusedRecord]) -> None:
    """Publish refusals in the words of their dead letters; of a record without a number the letter alone tells."""
    for one in refused:
        if one.key is None:
            continue
        body = ReportRefused(
            external_id=one.key, company=one.company, code=one.code, detail=one.detail, refused_at=work.now
        )
        work.publish(REPORT_REFUSED, body, version=0)


def say_waiting(work: Work, rows: Iterable[Waiting]) -> None:
    """Publish that reports wait, for what, and until when they do at most."""
    for row in rows:
        body = ReportRefused(
            external_id=row.external_id, company=row.company, code=row.code, detail=domain.lacking(row.code),
            refused_at=work.now, waits_until=row.until,
        )  # fmt: skip
        work.publish(REPORT_REFUSED, body, version=0)
