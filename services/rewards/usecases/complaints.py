"""A complaint is answered once; where it is right, the voucher's points and piece come back with the answer."""

from uuid import UUID

from services.rewards import problems
from services.rewards.store import complaints
from services.rewards.store.complaints import Complaint
from services.rewards.usecases import redemptions
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found


async def answer(work: Work, id_: UUID, words: str, by: str, refund_days_max: int | None) -> Complaint:
    """Answer it. `refund_days_max`: undo the voucher's use, which may be so many days ago; None: it isn't refunded.

    Raises:
        Refusal: no such complaint; `complaint_answered`; what undoing refuses with.
    """
    found = await complaints.lock(work.conn, id_)
    if found is None:
        raise not_found("complaint")
    refunded = refund_days_max is not None
    made = await complaints.answer(work.conn, id_, refunded=refunded, words=words, by=by)
    if made is None:
        raise problems.COMPLAINT_ANSWERED(state=found.state)
    if refund_days_max is not None:
        await redemptions.undo(work, found.redemption_id, words, by, refund_days_max)
    return made
