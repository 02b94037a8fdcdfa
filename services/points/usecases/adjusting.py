"""Points given or taken by hand: one person proposes, another decides, then the ledger has an entry."""

import hmac
from uuid import UUID

from services.points import problems
from services.points.store import adjustments
from services.points.store import ledger as store
from services.points.store.adjustments import Adjustment, Decision, NotTwo, Proposal
from services.points.usecases import Cause, save
from shared.kit.messaging.work import Work
from shared.kit.problems import IDEMPOTENCY_CONFLICT, not_found


async def propose(work: Work, proposal: Proposal) -> Adjustment:
    """Keep a proposal; under a key that was used before, what is kept there.

    Raises:
        Refusal: `idempotency_conflict`: the proposer asked for something else under the key, however long ago.
    """
    id_, input_hash = await adjustments.propose(work.conn, proposal)
    if not hmac.compare_digest(input_hash, proposal.input_hash):
        raise IDEMPOTENCY_CONFLICT("the key came with another adjustment")
    found = await adjustments.adjustment(work.conn, id_)
    assert found is not None, "kept in this transaction, or before"
    return found


async def decide(work: Work, id_: UUID, decision: Decision, by: tuple[str, str], words: str) -> Adjustment:
    """Approve, refuse or withdraw a proposal; approved, it moves the points in the same transaction.

    Args:
        work: the transaction.
        id_: the proposal's.
        decision: what is decided.
        by: id and name of who decides.
        words: why.

    Raises:
        Refusal: no such adjustment; `adjustment_decided`; `two_people`: approved or refused by who proposed, or
            withdrawn by anybody else; `too_few_points`: more would be taken than the rider has.
    """
    seen = await adjustments.adjustment(work.conn, id_)
    if seen is None:
        raise not_found("adjustment")
    try:
        decided = await adjustments.decide(work.conn, id_, decision, by, words, work.now)
    except NotTwo:
        raise problems.TWO_PEOPLE() from None
    if decided is None:
        raise problems.ADJUSTMENT_DECIDED()
    if decision == "approved":
        book = await store.open_book(work.conn, {decided.rider_id}, {id_})
        if not book.adjust(id_, decided.rider_id, decided.amount, decided.reason, 0):
            raise problems.TOO_FEW_POINTS(available=book.accounts[decided.rider_id].available)
        await save(work, book, [Cause(None, None, work.now)])
    return decided
