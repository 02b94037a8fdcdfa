"""A signed request takes effect once, and whoever sends it again gets its first answer.

Kept in Postgres: a flushed Redis must not let an old request in again. A request is claimed before it is worked on. Its
answer is stored with the claim; where it was not worked on (429, 503), the claim is given up, so that the same id may
come again. The transaction of the work marks the claim as well: between a commit and the stored answer anything may
die, and a claim that took effect is never worked on a second time.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

import structlog
from starlette.responses import Response

from shared.kit.http.problems import unauthorized
from shared.kit.ids import new_id
from shared.kit.postgres.batcher import Batcher
from shared.kit.postgres.db import Connection, Pool, begun
from shared.kit.postgres.rows import arrays, unnest
from shared.kit.problems import REPLAYED_REQUEST, SIGNATURE_EXPIRED, ServiceBusy
from shared.kit.refusals import Refusal

# Twice what a process lets pass by its own clock: one that is late would take what was captured before an id was swept.
SIGNED_WITHIN_S = 600
ABANDONED_S = 90.0  # longer than any request that has an effect may take
ANSWER_BYTES_MAX = 1_000_000
CHALLENGE = 'StandardWebhooks realm="beegrid"'
_RELEASE_PATIENCE_S = 0.1  # the time limit of the request may have passed: nobody waits longer than 5 s
_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class NewClaim:
    """A request that somebody wants to work on."""

    company: str
    request_id: str
    content_hash: bytes
    claim: UUID
    signed_s: int


@dataclass(slots=True, eq=False)
class NewAnswer:
    """An answer to a claimed request; `riders` parted by commas."""

    company: str
    request_id: str
    claim: UUID
    status: int
    media_type: str | None
    response: bytes | None
    riders: str


# Times are the database's: a replica with a wrong clock would otherwise purge what another has just seen.
# NOT EXISTS: even DO NOTHING waits for a row that an open transaction has changed, and with it everybody in the batch;
# a company's slow work, sent again meanwhile, would delay all others.
SQL_CLAIM_REQUESTS = f"""
INSERT INTO request_ids (company, request_id, content_hash, claim, seen_at)
SELECT company, request_id, content_hash, claim, now()
FROM {unnest(NewClaim, "new", first=2)}
WHERE abs(extract(epoch FROM now()) - signed_s) <= $1
  AND NOT EXISTS (SELECT FROM request_ids old WHERE old.company = new.company AND old.request_id = new.request_id)
ON CONFLICT DO NOTHING
RETURNING claim
"""
SQL_NOW_S = "SELECT extract(epoch FROM now())::float8"
SQL_READ_REQUESTS = """
SELECT company, request_id, r.content_hash, took_effect, status, media_type, response,
       seen_at < now() - make_interval(secs => $3) AS abandoned
FROM request_ids r JOIN unnest($1::text[], $2::text[]) AS asked (company, request_id) USING (company, request_id)
"""
SQL_TAKE_OVER = """
UPDATE request_ids SET claim = $3, seen_at = now() WHERE (company, request_id) IN (
    SELECT company, request_id FROM request_ids
    WHERE company = $1 AND request_id = $2 AND content_hash = $4 AND status IS NULL AND NOT took_effect
      AND seen_at < now() - make_interval(secs => $5)
    FOR UPDATE SKIP LOCKED
) RETURNING claim
"""
SQL_TOOK_EFFECT = """
UPDATE request_ids SET took_effect = true WHERE company = $1 AND request_id = $2 AND claim = $3 AND status IS NULL
RETURNING claim
"""
# The answer to a request that names an erased rider is not kept: it may have their number.
SQL_STORE_ANSWERS = f"""
UPDATE request_ids r SET status = new.status, media_type = new.media_type, riders = string_to_array(new.riders, ','),
    response = CASE WHEN NOT EXISTS (SELECT FROM erased_riders WHERE number = ANY(string_to_array(new.riders, ',')))
                    THEN new.response END
FROM {unnest(NewAnswer, "new")}
WHERE r.company = new.company AND r.request_id = new.request_id AND r.claim = new.claim AND r.status IS NULL
"""
SQL_RELEASE_CLAIMS = """
DELETE FROM request_ids r USING unnest($1::text[], $2::text[], $3::uuid[]) AS old (company, request_id, claim)
WHERE r.company = old.company AND r.request_id = old.request_id AND r.claim = old.claim
  AND r.status IS NULL AND NOT r.took_effect
"""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request whose signature is genuine. `content_hash` is of method, address and body; `signed_s` unix seconds."""

    company: str
    request_id: str
    content_hash: bytes
    signed_s: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a signed request; `id` tells it from an earlier one that was given up."""

    company: str
    request_id: str
    id: UUID


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What the first of two equal requests was answered. `body` None: it was not kept.

    `riders`: marks of the numbers under which the request names riders; with one's erasure the answer goes.
    """

    status: int
    media_type: str | None
    body: bytes | None
    riders: Sequence[str] = ()

    def response(self) -> Response:
        """The same answer, marked as given before. Raises the 409 problem where it was not kept."""
        if self.body is None:
            raise REPLAYED_REQUEST("this webhook-id was answered before, and the answer is not kept")
        return Response(self.body, self.status, {"Idempotency-Replayed": "true"}, self.media_type)


_current: ContextVar[Claim | None] = ContextVar("beegrid_claim", default=None)


class ReplayGuard:
    """Remembers companies' requests, many in one commit. `pool` is asked at use: it opens later."""

    def __init__(self, pool: Callable[[], Pool], *, size_max: int = 500) -> None:
        self._pool = pool
        self._claims: Batcher[SignedRequest, Claim | KeptAnswer] = Batcher(
            self._claim, name="replay guard", size_max=size_max
        )
        self._answers: Batcher[tuple[Claim, KeptAnswer | None], None] = Batcher(
            self._settle, name="answers to signed requests", size_max=size_max
        )
        self._releasing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Starts taking requests."""
        await self._answers.start()
        await self._claims.start()

    async def stop(self) -> None:
        """Finishes what waits."""
        await self._claims.stop()
        await asyncio.gather(*self._releasing)
        await self._answers.stop()

    def alive(self) -> bool:
        """A liveness check."""
        return self._claims.alive() and self._answers.alive()

    async def begin(self, request: SignedRequest) -> Claim | KeptAnswer:
        """Claims the request, durably, before it is worked on; or finds the answer that it got before.

        Raises the 401 problem `signature_expired` when it was signed too long ago by the database's clock, the 409
        problem `replayed_request` when the id came with another request or its answer is lost, and ServiceBusy when it
        is being worked on, or when that can't be known: an attacker could otherwise replay during an outage.
        """
        return await self._claims.submit(request)

    async def finish(self, claim: Claim, answer: KeptAnswer) -> None:
        """Keeps the answer. Where it can't be kept, the caller gets it all the same."""
        try:
            await self._answers.submit((claim, answer))
        except (Refusal, OSError) as error:
            _log.warning("answer to a signed request not kept", error=type(error).__name__)

    async def release(self, claim: Claim) -> None:
        """Gives a claim up that had no effect; goes on in the background when that takes long or the caller leaves."""
        task = asyncio.create_task(self._release(claim))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)
        await asyncio.wait({task}, timeout=_RELEASE_PATIENCE_S)

    async def _release(self, claim: Claim) -> None:
        try:
            await self._answers.submit((claim, None))
        except (Refusal, OSError) as error:
            # it is free again after ABANDONED_S
            _log.warning("signed request not released", error=type(error).__name__)

    async def _claim(self, requests: list[SignedRequest]) -> list[Claim | KeptAnswer | Exception]:
        # sorted: two replicas that insert the same ids in different orders would wait for each other in a circle.
        # The same id twice in one batch: the first of them claims it
        first: dict[tuple[str, str], tuple[int, UUID]] = {}
        for at, one in enumerate(requests):
            first.setdefault((one.company, one.request_id), (at, new_id()))
        rows = [
            NewClaim(
                company=company, request_id=request_id, content_hash=requests[at].content_hash, claim=claim,
                signed_s=requests[at].signed_s,
            )
            for (company, request_id), (at, claim) in sorted(first.items())
        ]  # fmt: skip
        async with begun(self._pool()) as conn:
            found_free = await conn.fetch(SQL_CLAIM_REQUESTS, SIGNED_WITHIN_S, *arrays(NewClaim, rows))
            won = {row["claim"] for row in found_free}
            claimed = {at: Claim(*key, claim) for key, (at, claim) in first.items() if claim in won}
            # sorted, too: whom a take-over meets is locked until the batch's end
            again = sorted(((at, one) for at, one in enumerate(requests) if at not in claimed), key=_asked)
            answers = await _earlier(conn, [one for _, one in again]) if again else []
        found = dict(zip((at for at, _ in again), answers, strict=True))
        return [claimed[at] if at in claimed else found[at] for at in range(len(requests))]

    async def _settle(self, settled: list[tuple[Claim, KeptAnswer | None]]) -> list[Exception | None]:
        kept = [
            NewAnswer(
                company=claim.company, request_id=claim.request_id, claim=claim.id, status=answer.status,
                media_type=answer.media_type, response=answer.body, riders=",".join(answer.riders),
            )
            for claim, answer in sorted(settled, key=_place)
            if answer is not None
        ]  # fmt: skip
        released = sorted((c.company, c.request_id, c.id) for c, answer in settled if answer is None)
        async with begun(self._pool()) as conn:
            if kept:
                await conn.execute(SQL_STORE_ANSWERS, *arrays(NewAnswer, kept))
            if released:
                await conn.execute(SQL_RELEASE_CLAIMS, *zip(*released, strict=True))
        return [None] * len(settled)


def _asked(found: tuple[int, SignedRequest]) -> tuple[str, str, int]:
    at, request = found
    return request.company, request.request_id, at


def _place(settled: tuple[Claim, KeptAnswer | None]) -> tuple[str, str, UUID]:
    claim, _ = settled
    return claim.company, claim.request_id, claim.id


async def _earlier(conn: Connection, requests: list[SignedRequest]) -> list[Claim | KeptAnswer | Exception]:
    """What became of requests that were claimed before."""
    keys = sorted({(one.company, one.request_id) for one in requests})
    rows = await conn.fetch(SQL_READ_REQUESTS, *zip(*keys, strict=True), ABANDONED_S)
    found = {(row["company"], row["request_id"]): row for row in rows}
    results: list[Claim | KeptAnswer | Exception] = []
    now_s = await conn.fetchval(SQL_NOW_S)
    for one in requests:
        row = found.get((one.company, one.request_id))
        if row is None and abs(now_s - one.signed_s) > SIGNED_WITHIN_S:
            results.append(expired(SIGNED_WITHIN_S))
        elif row is None:
            results.append(ServiceBusy("the request was just given up", retry_after_s=1))
        elif row["content_hash"] != one.content_hash:
            results.append(REPLAYED_REQUEST("this webhook-id was used before, for another request"))
        elif row["status"] is not None:
            results.append(KeptAnswer(row["status"], row["media_type"], row["response"]))
        elif row["took_effect"] and row["abandoned"]:
            results.append(REPLAYED_REQUEST("this webhook-id took effect, and its answer is lost"))
        elif row["abandoned"] and (claim := await _take_over(conn, one)) is not None:
            results.append(claim)
        else:
            results.append(ServiceBusy("the request is being worked on", retry_after_s=2))
    return results


async def _take_over(conn: Connection, one: SignedRequest) -> Claim | None:
    """A claim whose process died. None: somebody else was faster."""
    claim = Claim(one.company, one.request_id, new_id())
    taken = await conn.fetchval(SQL_TAKE_OVER, claim.company, claim.request_id, claim.id, one.content_hash, ABANDONED_S)
    return claim if taken is not None else None


class working_on:
    """A block in which transactions of the work mark the claim."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    def __enter__(self) -> None:
        self._token = _current.set(self._claim)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


async def mark_effect(conn: Connection) -> None:
    """Marks the signed request at hand, if there is one, as part of the transaction; last, for its row is shared.

    Raises ServiceBusy, so that the transaction is undone, when the claim was given up meanwhile.
    """
    claim = _current.get()
    if claim is None:
        return
    if await conn.fetchval(SQL_TOOK_EFFECT, claim.company, claim.request_id, claim.id) is None:
        raise ServiceBusy("the request was given up meanwhile")


def expired(tolerance_s: int) -> Refusal:
    """The 401 problem of a request that was signed too long ago, or for later."""
    return unauthorized(SIGNATURE_EXPIRED, f"webhook-timestamp is more than {tolerance_s} s off", CHALLENGE)
