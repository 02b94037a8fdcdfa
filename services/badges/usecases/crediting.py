"""From what points say of reports to totals, streaks and badges: a constant number of statements a batch."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from services.badges import metrics
from services.badges.domain import Deed, Movement, Standing, in_force, streaks
from services.badges.store import standings as store
from services.badges.store.standings import Day, NewAward
from shared.events.account_changed import AccountChanged
from shared.events.badge_awarded import BADGE_AWARDED, BadgeAwarded
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event, Work

TAKEN: dict[str, Movement] = {"held": "held", "posted": "posted", "reversed": "reversed"}


async def follow_points(zone: ZoneInfo, work: Work, events: Sequence[Event[AccountChanged]]) -> None:
    """Count what is credited, and take off what is taken back; award what is reached. Redemptions are no deeds."""
    heard = [event for event in events if event.data.source != "redemption" and event.data.movement in TAKEN]
    if not heard:
        return
    standings = await store.lock(work.conn, {event.data.rider_id for event in heard})
    heard = [event for event in heard if event.data.rider_id in standings]  # without those who left
    deeds = await store.deeds(work.conn, {event.data.source_id for event in heard})
    added: dict[tuple[date, UUID, str, str], Day] = {}
    for event in heard:
        body = event.data
        deed = deeds.setdefault(body.source_id, Deed(body.source_id, body.rider_id))
        before = deed.counts
        on = body.changed_at.astimezone(zone).date()
        deed.take(TAKEN[body.movement], on, abs(body.amount), body.company or "", body.grid_code or "")
        if deed.counts != before:
            _count(standings[body.rider_id], deed, added, 1 if deed.counts else -1)
    await store.keep_deeds(work.conn, [deeds[key] for key in sorted(deeds)], work.now)
    await store.add_days(work.conn, [added[key] for key in sorted(added)])
    if added:
        await _rise(work, {day.rider_id for day in added.values()}, standings)


def _count(standing: Standing, deed: Deed, added: dict[tuple[date, UUID, str, str], Day], sign: int) -> None:
    standing.points += sign * deed.points
    standing.reports += sign
    assert deed.credited_on is not None, "it counts, or has counted: it was posted"
    key = (deed.credited_on, deed.rider_id, deed.grid_code, deed.company)
    day = added.setdefault(key, Day(*key, 0, 0))
    day.points += sign * deed.points
    day.reports += sign


async def _rise(work: Work, riders: Collection[UUID], standings: dict[UUID, Standing]) -> None:
    """Streaks, totals, and the badges that follow."""
    days = await store.active_days(work.conn, riders)
    for rider_id in riders:
        standing = standings[rider_id]
        standing.streak, longest, standing.streak_on = streaks(days.get(rider_id, []))
        # days that have left the tables still count for the longest one
        standing.best_streak = max(longest, standing.best_streak if days.get(rider_id) else 0)
    touched = [standings[rider_id] for rider_id in sorted(riders)]
    await store.save(work.conn, touched)
    rules = [rule for rule in in_force(await store.rules(work.conn), work.now) if rule.kind == "badge"]
    wanted = [
        NewAward(new_id(), one.rider_id, rule.code, rule.zh, rule.en, rule.measure, rule.least, work.now)
        for one in touched
        for rule in rules
        if one.of(rule.measure) >= rule.least
    ]
    for award in await store.award(work.conn, wanted):
        body = BadgeAwarded(
            award_id=award.award_id, rider_id=award.rider_id, code=award.code, zh=award.zh, en=award.en,
            awarded_at=award.awarded_at,
        )  # fmt: skip
        work.publish(BADGE_AWARDED, body, version=1)
        metrics.AWARDED.labels(award.code).inc()
    await store.validate(work.conn, riders)
