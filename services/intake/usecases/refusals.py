"""Companies hear which of their records are no reports, and why."""

import re
from collections.abc import Sequence

from shared.events.report_refused import REPORT_REFUSED, ReportRefused
from shared.kit.consuming.pending import RefusedRecord
from shared.kit.messaging.work import Work

_NUMBER = re.compile(r"[\x21-\x7e]{1,64}")


async def publish(work: Work, refused: Sequence[RefusedRecord]) -> None:
    """Publish refusals in the words of their dead letters; of a record without a number the letter alone tells."""
    for one in refused:
        if one.key is None or not _NUMBER.fullmatch(one.key):
            continue
        body = ReportRefused(
            external_id=one.key, company=one.company, code=one.code, detail=one.detail, refused_at=work.now
        )
        work.publish(REPORT_REFUSED, body, version=0)
