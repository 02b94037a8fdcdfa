"""Where riders report, how often, and with which pictures."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from zoneinfo import ZoneInfo

from services.screening.domain import Finding, limits_at, of_journey, of_photos, shows_something, signed
from services.screening.store import reports as store
from services.screening.store import suspicions
from services.screening.store.reports import NewPhoto, NewSighting
from services.screening.usecases import record
from shared.events.report_routed import ReportRouted
from shared.kit.messaging.work import Event, Work

UNKNOWN_ACCURACY_M = 100.0


async def follow_reports(zone: ZoneInfo, work: Work, events: Sequence[Event[ReportRouted]]) -> None:
    """Compare each report with those that its rider made around it, and its pictures with those of all.

    A report comes again when a person has named its grid: then only that is new.
    """
    newest = {event.data.report_id: event for event in sorted(events, key=lambda event: event.version)}
    bodies = [event.data for event in newest.values()]
    limits = limits_at(await suspicions.limits(work.conn), work.now)
    seen = [_sighting(one) for one in bodies]
    await store.keep_sightings(work.conn, seen)
    history = await store.history(work.conn, store.around(seen))
    found: list[Finding] = []
    for _, of_rider in groupby(history, key=lambda one: one.rider_id):
        found += of_journey(list(of_rider), limits, zone)
    photos = [photo for one in bodies for photo in _photos(one)]
    if photos:
        await store.keep_photos(work.conn, photos)
        found += of_photos(await store.same_photos(work.conn, photos), limits)
        if plain := [one for one in photos if shows_something(one.phash)]:
            found += of_photos(await store.similar_photos(work.conn, plain, limits.similar_bits), limits)
    await record(work, found, limits)


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
