"""What offices say of stations: made, changed, given up, read from files; lists of services, donations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from uuid import UUID

from services.stations import problems
from services.stations.domain.details import Details, faults_of
from services.stations.domain.words import Donation, ServiceList, Station
from services.stations.files import FAULTS_MAX, Fault, Format, parse
from services.stations.store import given
from services.stations.store import stations as store
from services.stations.usecases.living import restate
from services.stations.usecases.rules import Rules
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.problems import not_found

Covers = Callable[[str], bool]
"""Whether an area is the caller's."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file did, or would do."""

    new: int
    changed: int
    unchanged: int


async def create(rules: Rules, work: Work, said: Details) -> Station:
    """A new station.

    Raises:
        Refusal: `stations_faulty`, `station_code_taken`.
    """
    _check(rules, said)
    id_ = new_id()
    if not await store.add(work.conn, [(id_, said)]):
        raise problems.STATION_CODE_TAKEN()
    [made] = await restate(rules, work, [id_], said=True)
    return made


async def change(rules: Rules, work: Work, one: Station, edition: int, said: Details) -> Station:
    """What the office says now of a station that is locked; the code stays.

    Raises:
        Refusal: `stations_faulty`; `station_edited` where the edition isn't the present one.
    """
    _check(rules, said)
    if not await store.change(work.conn, [(one.id, edition, said)]):
        raise problems.STATION_EDITED(edition=one.edition)
    [after] = await restate(rules, work, [one.id], said=True)
    return after


async def retire(rules: Rules, work: Work, one: Station, reason: str | None) -> Station:
    """Give a locked station up: it leaves the map; without a reason it is there again. Again changes nothing."""
    if not await store.retire(work.conn, one.id, reason):
        return one
    [after] = await restate(rules, work, [one.id], said=True)
    return after


async def take_file(rules: Rules, work: Work, text: str, form: Format, covers: Covers, *, dry_run: bool) -> Taken:
    """Make and change stations as a file says, all of it or nothing. Those that it doesn't name stay as they are.

    Raises:
        Refusal: `stations_faulty` with each faulty cell.
    """
    rows, faults = parse(text, form)
    known = await store.lock_codes(work.conn, [row.said.code for row in rows])
    for row in rows:
        faults += [
            Fault(row.line, one.field, one.problem) for one in faults_of(row.said, rules.taxonomy, rules.is_area)
        ]
        before = known.get(row.said.code)
        if not covers(row.said.area_code) or (before is not None and not covers(before.area_code)):
            faults.append(Fault(row.line, "area_code", "is not one of your areas"))
    if faults:
        raise _faulty(faults)
    new = [row.said for row in rows if row.said.code not in known]
    changed = [row.said for row in rows if row.said.code in known and _details(known[row.said.code]) != row.said]
    done = Taken(len(new), len(changed), len(rows) - len(new) - len(changed))
    if dry_run:
        return done
    added = [(new_id(), said) for said in new]
    if await store.add(work.conn, added) != len(added):
        raise problems.STATION_CODE_TAKEN("somebody made a station of the file at the same time")
    edited = [(known[said.code].id, known[said.code].edition, said) for said in changed]
    await store.change(work.conn, edited)
    await restate(rules, work, [*(id_ for id_, _ in added), *(id_ for id_, _, _ in edited)], said=True)
    return done


async def publish_list(
    rules: Rules, work: Work, one: Station, year: int, version: int, items: Sequence[dict[str, str]], by: str
) -> ServiceList:
    """A year's list of services of a locked station, as its next version.

    Raises:
        Refusal: `stations_faulty` for a service that nobody knows; `service_list_exists`.
    """
    unknown = [n for n, item in enumerate(items) if item["code"] not in rules.taxonomy.services]
    if unknown:
        raise problems.STATIONS_FAULTY(
            "services that nobody knows",
            errors=[{"field": f"body.items.{n}.code", "problem": "no code of the taxonomy"} for n in unknown],
        )
    if not await given.add_list(work.conn, one.id, year, version, items, by):
        last = await given.newest_list(work.conn, one.id, year)
        raise problems.SERVICE_LIST_EXISTS(list_version=0 if last is None else last.version)
    if (one.list_year or 0) <= year:
        await store.point_to_list(work.conn, one.id, year, version)
    await restate(rules, work, [one.id], said=True)
    made = await given.newest_list(work.conn, one.id, year)
    assert made is not None, "inserted in this transaction"
    return made


async def record_donation(work: Work, new: Donation, by: str) -> Donation:
    """Record what somebody gave, and the thanks."""
    await given.add_donation(work.conn, new, by)
    return new


async def lock_one(work: Work, station_id: UUID) -> Station:
    """A station, locked. Raises the 404 problem where there is none."""
    found = await store.lock(work.conn, [station_id])
    if not found:
        raise not_found("station")
    return found[0]


def _details(one: Station) -> Details:
    return Details(**{field.name: getattr(one, field.name) for field in fields(Details)})


def _check(rules: Rules, said: Details) -> None:
    wrong = list(faults_of(said, rules.taxonomy, rules.is_area))
    if wrong:
        raise problems.STATIONS_FAULTY(
            f"{len(wrong)} faults", errors=[{"field": f"body.{one.field}", "problem": one.problem} for one in wrong]
        )


def _faulty(faults: Sequence[Fault]) -> Exception:
    ordered = sorted(faults, key=lambda fault: fault.line)[:FAULTS_MAX]
    named = [{"line": one.line, "field": f"body.text.{one.field}", "problem": one.problem} for one in ordered]
    return problems.STATIONS_FAULTY(f"{len(faults)} faults", errors=named)


async def by_area(conn: Connection, codes: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many stations lie in each of these areas; under a new map they are their successors' to see."""
    return {code: {"stations": n} for code, n in (await store.by_area(conn, codes)).items()}
