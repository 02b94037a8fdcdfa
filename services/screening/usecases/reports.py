"""Where riders report, how often, and with which pictures."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from zoneinfo import ZoneInfo

from services.screening.domain import (
    Finding,
    Limits,
    limits_at,
    of_journey,
    of_photos,
    photo_locks,
    rider_lock,
    shows_something,
    signed,
)
from services.screening.store import reports as store
from services.screening.store import suspicions
from services.screening.store.reports import NewPhoto, NewSighting
from services.screening.usecases import record
from shared.events.report_routed import ReportRouted
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import TooMuch
from shared.kit.privacy.erasure import erased_among

UNKNOWN_ACCURACY_M = 100.0
LOCKED_MAX = 2_500
"""Advisory locks of one transaction: one a rider, up to four a photo. Postgres has 64 a connection, shared by all."""


async def follow_reports(zone: ZoneInfo, work: Work, events: Sequence[Event[ReportRouted]]) -> None:
    """Compare each report with those that its rider made around it, and its pictures with those of all.

    A report comes again when a person has named its grid: then only that is new. Reports of one rider, and pictures
    that may be alike, are taken by one transaction at a time, whichever process got them: else neither would see the
    other.

    Raises:
        TooMuch: it would hold more locks than one transaction may.
    """
    newest = {event.data.report_id: event for event in sorted(events, key=lambda event: event.version)}
    bodies = await _without_erased(work, [event.data for event in newest.values()])
    if not bodies:
        return
    limits = limits_at(await suspicions.limits(work.conn), work.now)
    seen = [_sighting(one) for one in bodies]
    photos = [photo for one in bodies for photo in _photos(one)]
    await _lock(work, seen, photos, limits)
    await store.keep_sightings(work.conn, seen)
    found: list[Finding] = []
    if limits.looks_at_journeys:
        history = await store.history(work.conn, store.around(seen))
        for _, of_rider in groupby(history, key=lambda one: one.rider_id):
            found += of_journey(list(of_rider), limits, zone)
    if photos:
        await store.keep_photos(work.conn, photos)
        found += await _of_pictures(work, photos, limits)
    await record(work, found, limits)


async def _without_erased(work: Work, bodies: Sequence[ReportRouted]) -> list[ReportRouted]:
    """Nothing is kept of those who left, so nobody's picture is held against theirs either."""
    erased = await erased_among(work.conn, [*{one.rider_id for one in bodies}])
    return [one for one in bodies if one.rider_id not in erased]


async def _lock(work: Work, seen: Sequence[NewSighting], photos: Sequence[NewPhoto], limits: Limits) -> None:
    keys = {rider_lock(one.rider_id) for one in seen} if limits.looks_at_journeys else set()
    if limits.looks_for_similar:
        keys.update(key for one in photos for key in photo_locks(one.sha256, one.phash))
    if len(keys) > LOCKED_MAX:
        raise TooMuch(f"{len(keys)} riders and parts of pictures, {LOCKED_MAX} at a time")
    if keys:
        await store.lock(work.conn, keys)


async def _of_pictures(work: Work, photos: Sequence[NewPhoto], limits: Limits) -> list[Finding]:
    found: list[Finding] = []
    if limits.photo_score:
        found += of_photos(await store.same_photos(work.conn, photos), limits)
    plain = [one for one in photos if shows_something(one.phash)]
    if plain and limits.looks_for_similar:
        found += of_photos(await store.similar_photos(work.conn, plain, limits.similar_bits), limits)
    return found


def _sighting(one: ReportRouted) -> NewSighting:
    accuracy_m = UNKNOWN_ACCURACY_M if one.accuracy_m is None else one.accuracy_m
    return NewSighting(
        one.report_id, one.rider_id, one.occurred_at, one.received_at, one.lng, one.lat, accuracy_m, one.grid_code
    )


def _photos(one: ReportRouted) -> Iterable[NewPhoto]:
    for sha256, photo in {photo.sha256: photo for photo in one.photos}.items():
        yield NewPhoto(
            one.report_id, sha256, signed(photo.phash), one.rider_id, one.grid_code, one.occurred_at, one.received_at
        )
