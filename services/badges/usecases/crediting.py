"""From what points say of reports to totals, streaks and badges: a constant number of statements a batch."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.badges import metrics
from services.badges.domain import KEPT_DAYS, Credit, Deed, Movement, Standing, count_streaks, in_force
from services.badges.store import standings as store
from services.badges.store.standings import Day, NewAward
from services.badges.usecases import levelling
from shared.events.account_changed import AccountChanged
from shared.events.badge_awarded import BADGE_AWARDED, BadgeAwarded
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work

TAKEN: dict[str, Movement] = {"held": "held", "posted": "posted", "reversed": "reversed"}
DEEDS = frozenset({"report", "deed"})
"""What points may come from that badges are about: not what is redeemed, expires or is adjusted."""
LATE = timedelta(days=2)
"""Clocks of two services, and a day that is longer in another zone: so much earlier days count as swept."""


async def follow_points(zone: ZoneInfo, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Count what is credited, and take off what is taken back; award what is reached."""
    heard = [event for event in events if event.data.source in DEEDS and event.data.movement in TAKEN]
    if not heard:
        return
    standings = await store.lock(work.conn, {event.data.rider_id for event in heard})
    heard = [event for event in heard if event.data.rider_id in standings]  # without those who left
    deeds = await store.deeds(work.conn, {event.data.source_id for event in heard})
    added: dict[tuple[date, UUID, str, str], Day] = {}
    touched: set[UUID] = set()
    for event in heard:
        body = event.data
        deed = deeds.setdefault(body.source_id, Deed(body.source_id, body.rider_id))
        before = deed.credit
        on = body.changed_at.astimezone(zone).date()
        deed.take(TAKEN[body.movement], on, abs(body.amount), body.company or "", body.grid_code or "")
        # also where only the day of the report is news: the hold may be heard after the posting
        if deed.credit != before:
            touched.add(body.rider_id)
            _count(standings[body.rider_id], before, added, -1)
            _count(standings[body.rider_id], deed.credit, added, 1)
    await store.keep_deeds(work.conn, [deeds[key] for key in sorted(deeds)], work.now)
    await store.add_days(work.conn, [day for _, day in sorted(added.items()) if day.points or day.reports])
    if touched:
        since = work.now.astimezone(zone).date() - timedelta(days=KEPT_DAYS) + LATE
        await _rise(work, touched, standings, since)


def _count(standing: Standing, credit: Credit | None, added: dict[tuple[date, UUID, str, str], Day], sign: int) -> None:
    if credit is None:
        return
    standing.points += sign * credit.points
    standing.reports += sign
    key = (credit.credited_on, standing.rider_id, credit.grid_code, credit.company)
    day = added.setdefault(key, Day(*key, 0, 0))
    day.points += sign * credit.points
    day.reports += sign


async def _rise(work: Work, riders: Collection[UUID], standings: dict[UUID, Standing], since: date) -> None:
    """Streaks, totals, and the badges and levels that follow."""
    days = await store.active_days(work.conn, riders)
    for rider_id in riders:
        count_streaks(standings[rider_id], days.get(rider_id, ()), since)
    touched = [standings[rider_id] for rider_id in sorted(riders)]
    await store.save(work.conn, touched)
    rules = in_force(await store.rules(work.conn), work.now)
    wanted = [
        NewAward(new_id(), one.rider_id, rule.code, rule.zh, rule.en, rule.measure, rule.least, work.now)
        for one in touched
        for rule in rules
        if rule.kind == "badge" and one.of(rule.measure) >= rule.least
    ]
    for award in await store.award(work.conn, wanted):
        body = BadgeAwarded(
            award_id=award.award_id, rider_id=award.rider_id, code=award.code, zh=award.zh, en=award.en,
            awarded_at=award.awarded_at,
        )  # fmt: skip
        work.publish(BADGE_AWARDED, body, version=1)
        metrics.AWARDED.labels(award.code).inc()
    await store.validate(work.conn, riders)
    await levelling.level(work, touched, rules)
