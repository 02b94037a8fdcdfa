"""A counter without network: the list that it takes with it, and what it says later."""

import asyncio
import hashlib
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from services.rewards import metrics, problems
from services.rewards.domain import Judged, OfflineList, Redemption, canonical, judge
from services.rewards.store import merchants, offers, offline, redemptions, stations
from services.rewards.store.offline import Listed, Shown, Taking
from services.rewards.usecases.codes import Codes
from services.rewards.usecases.redemptions import publish, say_stock
from services.rewards.usecases.signing import ROUNDS, Signer, on_list
from services.rewards.usecases.vouchers import Counter
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.problems import not_found, too_many


@dataclass(frozen=True, slots=True)
class Offline:
    """What lists need. `good_h`: how long one is good; `grace_h`: how long after it its vouchers wait for the upload;
    `open_max`: lists of one merchant that are not settled."""

    codes: Codes
    signer: Signer
    good_h: int
    grace_h: int
    rows_max: int
    open_max: int


@dataclass(frozen=True, slots=True)
class Paper:
    """A list as it is handed over: its text, the text's signature, the key that verifies it."""

    text: str
    signature: str
    key: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Made:
    """A list that is kept, and what stands on it: not written yet."""

    kept: OfflineList
    listed: Sequence[Listed]


@dataclass(frozen=True, slots=True)
class Heard:
    """What an upload is judged with: what stood on its list, and what was sold by earlier lines, of other lists too."""

    listed: frozenset[UUID]
    earlier: dict[UUID, datetime]


@dataclass(frozen=True, slots=True)
class Taken:
    """A code as a counter took it, by the counter's own clock."""

    code: str
    taken_at: datetime


async def make(desk: Offline, work: Work, merchant_id: UUID, clerk: str) -> Made:
    """A list of all vouchers that the merchant may take, those first that end first; `write` it after the commit.

    Raises:
        Refusal: no such merchant; `not_staff`; `lists_open`.
    """
    are_open = await offline.lock_merchant(work.conn, merchant_id)
    if are_open is None:
        raise not_found("merchant")
    if not await merchants.may_take(work.conn, merchant_id, clerk):
        raise problems.NOT_STAFF()
    if are_open >= desk.open_max:
        raise problems.LISTS_OPEN(f"{are_open} lists are open")
    id_ = new_id()
    listed = await offline.to_list(work.conn, merchant_id, desk.rows_max)
    hours = desk.good_h, desk.good_h + desk.grace_h
    kept = await offline.keep(work.conn, [one.id for one in listed], hours[1])
    listed = [one for one in listed if one.id in kept]
    return Made(await offline.add(work.conn, id_, merchant_id, clerk, hours, [one.id for one in listed]), listed)


async def write(desk: Offline, made: Made) -> Paper:
    """The list as it is handed over. It takes a second: not while its vouchers are locked, which counters wait for."""
    text = await asyncio.to_thread(_text, desk, made.kept, made.listed)
    return Paper(text, desk.signer.sign(text), desk.signer.public, desk.signer.key_id)


def _text(desk: Offline, made: OfflineList, listed: Sequence[Listed]) -> str:
    """The list, as JSON: what a counter needs to know a voucher, and nothing from which one could be made."""
    entries = [
        {
            "hash": on_list(made.id, desk.codes.open(one.id, one.code_sealed)),
            "offer_id": one.offer_id,
            "offer": one.offer_name,
            "until": one.deadline_at,
            "from": one.starts_at,
            "opens_minute": one.opens_minute,
            "closes_minute": one.closes_minute,
            "weekdays": one.weekdays,
        }
        for one in listed
    ]
    whole = {
        "list_id": made.id,
        "merchant_id": made.merchant_id,
        "made_at": made.made_at,
        "good_until": made.good_until,
        "upload_until": made.closes_at,
        "rounds": ROUNDS,
        "key_id": desk.signer.key_id,
        "count": len(entries),
        "entries": entries,
    }
    return orjson.dumps(whole, default=str).decode()  # a driver has a UUID of its own


async def take(
    desk: Offline, counter: Counter, work: Work, merchant_id: UUID, list_id: UUID, taken: Sequence[Taken], clerk: str
) -> list[Taking]:
    """Settle a list with all that a counter took; the same again gets the same answer.

    Raises:
        Refusal: no such list of the merchant; `not_staff`; `list_settled` with other lines than these; `rate_limited`
            where the merchant has just shown too many wrong codes.
    """
    if not await merchants.may_take(work.conn, merchant_id, clerk):
        raise problems.NOT_STAFF()
    digest = hashlib.sha256(orjson.dumps([[one.code, one.taken_at] for one in taken])).digest()
    paper = await offline.lock(work.conn, list_id)
    if paper is None or paper.merchant_id != merchant_id:
        raise not_found("list")
    if paper.settled_at is not None:
        if paper.digest != digest:
            raise problems.LIST_SETTLED()
        return await offline.takings(work.conn, list_id)
    # before any voucher, as at the counter
    if await redemptions.wrong_attempts(work.conn, merchant_id, counter.window_s) >= counter.wrong_max:
        raise too_many(counter.window_s)
    hashes = [_hashes(desk, one.code) for one in taken]
    found = await offline.shown(work.conn, paper, [hash_ for some in hashes for hash_ in some])
    earlier = await offline.earlier(work.conn, merchant_id, [one.redemption.id for one in found.values()])
    heard = Heard(frozenset(paper.redemption_ids), earlier)
    lines: list[Taking] = []
    lost: Tally[UUID] = Tally()
    for line, (one, some) in enumerate(zip(taken, hashes, strict=True)):
        shown = next((found[hash_] for hash_ in some if hash_ in found), None)
        judged = _judge(counter, paper, shown, one, heard)
        lines.append(_line(paper, line, one, shown.redemption if shown is not None else None, judged))
        if shown is not None and (judged.outcome == "sold" or judged.borne_by == "programme"):
            heard.earlier[shown.redemption.id] = one.taken_at
        if shown is not None and judged.lost:
            lost[shown.redemption.offer_id] += 1
    await _carry_out(work, paper, lines, {one.redemption.id: one for one in found.values()}, lost)
    await offline.add_takings(work.conn, lines)
    await offline.settle(work.conn, paper, digest)
    came = Tally(one.outcome for one in lines)
    await redemptions.count_wrong(work.conn, merchant_id, came["unknown"] + came["foreign"])
    for outcome, number in came.items():
        metrics.VERIFICATIONS.labels(f"offline_{outcome}").inc(number)
    return lines


def _judge(counter: Counter, paper: OfflineList, shown: Shown | None, one: Taken, heard: Heard) -> Judged:
    if shown is None:
        return judge(paper, None, one.taken_at, heard.listed, heard.earlier, lambda _: False)

    def is_open_at(at: datetime) -> bool:
        return shown.hours.allow(at, counter.zone)

    return judge(paper, shown.redemption, one.taken_at, heard.listed, heard.earlier, is_open_at)


def _hashes(desk: Offline, entered: str) -> list[bytes]:
    code = canonical(entered)
    return desk.codes.hashes(code) if code is not None else []


def _line(paper: OfflineList, line: int, one: Taken, redemption: Redemption | None, judged: Judged) -> Taking:
    return Taking(
        list_id=paper.id,
        line=line,
        merchant_id=paper.merchant_id,
        redemption_id=redemption.id if redemption is not None else None,
        offer_id=redemption.offer_id if redemption is not None else None,
        points=redemption.price if redemption is not None else 0,
        taken_at=one.taken_at,
        outcome=judged.outcome,
        borne_by=judged.borne_by,
        first_merchant_id=judged.first_merchant_id,
        first_at=judged.first_at,
    )


async def _carry_out(
    work: Work, paper: OfflineList, lines: Sequence[Taking], shown: Mapping[UUID, Shown], lost: Mapping[UUID, int]
) -> None:
    """Sell what was sold, and take from the merchant's stock what went out twice: `lost`, pieces by offer."""
    ids = [one.redemption_id for one in lines if one.outcome == "sold" and one.redemption_id is not None]
    sold = await offline.sell(work.conn, ids, f"list {paper.id}", paper.merchant_id) if ids else []
    assert len(sold) == len(ids), "they were locked as issued"
    await stations.sold_offline(
        work.conn, paper.merchant_id, Tally(one.offer_id for one in sold if shown[one.id].citywide)
    )
    moved = await offers.move_stock(work.conn, {}, Tally(one.offer_id for one in sold))
    for offer_id, number in sorted(lost.items()):
        await stations.lose(work.conn, offer_id, paper.merchant_id, number)
    say_stock(work, [one for one in moved if one.offer_id not in lost])
    say_stock(work, await offers.say(work.conn, lost) if lost else [])
    for redemption in sold:
        publish(work, redemption)
