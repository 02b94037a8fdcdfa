"""Stations: what offices say of them, and the state that others are notified of."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from services.stations.domain.details import Details
from services.stations.domain.words import Keeper, Station
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, age_s, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class NewState:
    """What is so at a station now; `faults` parted by spaces. `said`: whether others are notified of it."""

    id: UUID
    state: str
    state_reason: str
    state_until: datetime | None
    faults: str
    next_at: datetime
    said: bool


@dataclass(frozen=True, slots=True)
class Total:
    """How many stations there are, and the sum of their versions: it grows with whatever others are notified of."""

    stations: int
    versions: int


_OF = columns(Station, "s")
_SAID = """code text, name text, kind text, sponsor text, area_code text, address text, lng double precision,
    lat double precision, managing_unit text, responsible text, phone text, duty_phone text, hours text,
    open_on_holidays boolean, services text[], parking_places integer, photos text[]"""
SQL_ADD = f"""
INSERT INTO stations ({columns(Details)}, id, version, edition, state, state_since, next_at, settled_at,
                      created_at, changed_at)
SELECT {columns(Details, "n")}, n.id, 1, 1, 'off_hours', now(), now(), now(), now(), now()
FROM jsonb_to_recordset($1::jsonb) AS n (id uuid, {_SAID}) ORDER BY n.code
ON CONFLICT (code) DO NOTHING RETURNING id
"""
# The edition decides: who has read an older one changes nothing
SQL_CHANGE = f"""
UPDATE stations s SET ({columns(Details)}) = ({columns(Details, "n")}), edition = s.edition + 1
FROM jsonb_to_recordset($1::jsonb) AS n (id uuid, edition bigint, {_SAID})
WHERE s.id = n.id AND s.edition = n.edition RETURNING s.id
"""
SQL_LOCK = Query(Station, f"SELECT {_OF} FROM stations s WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE")
SQL_LOCK_DUE = """
SELECT id FROM stations WHERE next_at <= now() ORDER BY next_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
"""
SQL_LOCK_AFTER = Query(Station, f"SELECT {_OF} FROM stations s WHERE id > $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE")
SQL_BY_CODE = "SELECT id FROM stations WHERE code = ANY($1::text[]) ORDER BY id"
SQL_ONE = Query(Station, f"SELECT {_OF} FROM stations s WHERE id = $1")
SQL_PAGE = Query(
    Station,
    f"""
SELECT {_OF} FROM stations s
WHERE code > $1 AND retired_reason IS NULL AND ($2::text[] IS NULL OR area_code = ANY($2))
  AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR $4 = ANY(services))
  AND (NOT $5 OR state IN ('open', 'full'))
ORDER BY code LIMIT $6
""",
)
SQL_ALL = Query(Station, f"SELECT {_OF} FROM stations s WHERE retired_reason IS NULL ORDER BY code")
SQL_TOTAL = Query(Total, "SELECT count(*) AS stations, coalesce(sum(version), 0)::bigint AS versions FROM stations")
SQL_COUNT_STATES = """
SELECT count(*) FILTER (WHERE state <> 'retired') AS there, count(*) FILTER (WHERE state = 'retired') AS gone
FROM stations
"""
SQL_BEHIND = """
SELECT extract(epoch FROM greatest(
    interval '0', now() - (SELECT min(next_at) FROM stations),
    -- a visit is a number of its day after 24 to 48 hours
    now() - interval '48 hours' - (SELECT min(visited_at) FROM visits)))::float8
"""
SQL_SAVE = Query(
    Station,
    f"""
UPDATE stations s SET state = n.state, state_reason = n.state_reason, state_until = n.state_until,
    state_since = CASE WHEN s.state = n.state THEN s.state_since ELSE now() END,
    faults = string_to_array(n.faults, ' '), next_at = n.next_at, settled_at = greatest(s.settled_at, now()),
    version = s.version + n.said::int, changed_at = CASE WHEN n.said THEN now() ELSE s.changed_at END
FROM {unnest(NewState)} WHERE s.id = n.id RETURNING {_OF}
""",
)
# Of a period that was set, or ended. By id, as whoever looks at several locks them
SQL_LOCK_ALL = "SELECT FROM stations ORDER BY id FOR NO KEY UPDATE"
SQL_LOOK_AT_ALL = "UPDATE stations SET next_at = least(next_at, now())"
SQL_RETIRE = """
UPDATE stations SET retired_reason = $2, edition = edition + 1
WHERE id = $1 AND retired_reason IS DISTINCT FROM $2 RETURNING id
"""
SQL_RENEW_CODE = """
UPDATE stations SET code_epoch = code_epoch + 1 WHERE id = $1 AND code_epoch = $2 RETURNING code_epoch
"""
SQL_LIST_SAID = "UPDATE stations SET list_year = $2, list_version = $3 WHERE id = $1"
SQL_KEEP = """
INSERT INTO keepers AS k (station_id, person, name, changed_by, since) VALUES ($1, $2, $3, $4, now())
ON CONFLICT (station_id, person) DO UPDATE SET name = excluded.name, changed_by = excluded.changed_by
"""
SQL_KEEP_NO_MORE = "DELETE FROM keepers WHERE station_id = $1 AND person = $2"
SQL_KEEPERS = Query(
    Keeper,
    """
SELECT station_id, person, name, since FROM keepers WHERE station_id = $1 AND person > $2 ORDER BY person LIMIT $3
""",
)
SQL_IS_KEEPER = "SELECT EXISTS (SELECT FROM keepers WHERE station_id = $1 AND person = $2)"
SQL_KEPT_BY = "SELECT station_id FROM keepers WHERE person = $1"
SQL_BY_AREA = """
SELECT area_code AS code, count(*) AS n FROM stations
WHERE area_code = ANY($1::text[]) AND retired_reason IS NULL GROUP BY area_code
"""


async def add(conn: Connection, new: Sequence[tuple[UUID, Details]]) -> int:
    """New stations; how many there were none of by their code."""
    return len(await conn.fetch(SQL_ADD, [{"id": id_, **asdict(said)} for id_, said in new]))


async def change(conn: Connection, changed: Sequence[tuple[UUID, int, Details]]) -> int:
    """What offices say now, of the editions that they have seen; how many those still are."""
    rows = [{"id": id_, "edition": edition, **asdict(said)} for id_, edition, said in changed]
    return len(await conn.fetch(SQL_CHANGE, rows))


async def lock(conn: Connection, ids: Collection[UUID]) -> list[Station]:
    """Stations, locked to the end of the transaction, by id."""
    return await many(conn, SQL_LOCK, list(ids))


async def lock_due(conn: Connection, most: int) -> list[UUID]:
    """Those that have to be looked at now and that nobody else looks at, locked."""
    return [row["id"] for row in await conn.fetch(SQL_LOCK_DUE, most)]


async def lock_after(conn: Connection, after: UUID, most: int) -> list[Station]:
    """The next stations by id, locked."""
    return await many(conn, SQL_LOCK_AFTER, after, most)


async def lock_codes(conn: Connection, codes: Collection[str]) -> dict[str, Station]:
    """Stations by their codes, locked."""
    ids = [row["id"] for row in await conn.fetch(SQL_BY_CODE, list(codes))]
    return {found.code: found for found in await lock(conn, ids)}


async def station(conn: Connection, id_: UUID) -> Station | None:
    """One station, unlocked; one that was given up too."""
    return await one(conn, SQL_ONE, id_)


async def page(
    conn: Connection,
    after: str,
    limit: int,
    areas: Collection[str] | None,
    kind: str | None,
    service: str | None,
    *,
    is_open: bool,
) -> list[Station]:
    """Stations by code, without those that were given up. `is_open`: only where one gets in now."""
    of = None if areas is None else list(areas)
    return await many(conn, SQL_PAGE, after, of, kind, service, is_open, limit)


async def all_there(conn: Connection) -> list[Station]:
    """All that weren't given up, by code: a few thousand at most."""
    return await many(conn, SQL_ALL)


async def total(conn: Connection) -> Total:
    """What changes whenever a station does."""
    found = await one(conn, SQL_TOTAL)
    assert found is not None, "an aggregate has a row"
    return found


async def count_states(conn: Connection) -> tuple[int, int]:
    """How many there are, and how many were given up."""
    row = await conn.fetchrow(SQL_COUNT_STATES)
    assert row is not None, "an aggregate has a row"
    return row["there"], row["gone"]


async def behind_s(conn: Connection) -> float:
    """How late the work by the clock is, in seconds: the station that should have been looked at first, or the visit
    that is a rider's for too long; 0: it isn't."""
    return await age_s(conn, SQL_BEHIND)


async def save(conn: Connection, states: Sequence[NewState]) -> list[Station]:
    """What is so now at locked stations; the stations after it."""
    return await many(conn, SQL_SAVE, *arrays(NewState, states)) if states else []


async def look_at_all(conn: Connection) -> None:
    """Have every station looked at as soon as its turn comes, also one that somebody looks at without seeing why."""
    await conn.execute(SQL_LOCK_ALL)
    await conn.execute(SQL_LOOK_AT_ALL)


async def retire(conn: Connection, id_: UUID, reason: str | None) -> bool:
    """Give a station up, or take it back where there is no reason; False: it is so already."""
    return await conn.fetchval(SQL_RETIRE, id_, reason) is not None


async def renew_code(conn: Connection, id_: UUID, epoch: int) -> int | None:
    """Another code for check-ins from now on; None: it has been renewed already."""
    found: int | None = await conn.fetchval(SQL_RENEW_CODE, id_, epoch)
    return found


async def point_to_list(conn: Connection, id_: UUID, year: int, version: int) -> None:
    """Which list of services is the station's newest; it must be locked."""
    await conn.execute(SQL_LIST_SAID, id_, year, version)


async def keep(conn: Connection, station_id: UUID, person: str, name: str, by: str) -> None:
    """Let a person keep a station's state; again changes the name."""
    await conn.execute(SQL_KEEP, station_id, person, name, by)


async def keep_no_more(conn: Connection, station_id: UUID, person: str) -> None:
    """The other way round; again changes nothing."""
    await conn.execute(SQL_KEEP_NO_MORE, station_id, person)


async def keepers(conn: Connection, station_id: UUID, after: str, limit: int) -> list[Keeper]:
    """Who keeps a station, by id."""
    return await many(conn, SQL_KEEPERS, station_id, after, limit)


async def is_keeper(conn: Connection, station_id: UUID, person: str) -> bool:
    """Whether a person was named as one of the station's keepers."""
    return bool(await conn.fetchval(SQL_IS_KEEPER, station_id, person))


async def kept_by(conn: Connection, person: str) -> list[UUID]:
    """The stations whose keeper a person is."""
    return [row["station_id"] for row in await conn.fetch(SQL_KEPT_BY, person)]


async def by_area(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """How many stations lie in each of these very areas."""
    return {row["code"]: row["n"] for row in await conn.fetch(SQL_BY_AREA, list(codes))}


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for a reconciliation."""
    kept = await counters.kept(conn, "stations", "visits", "feedback")
    return {"stations": kept.of("stations"), "visits": kept.of("visits"), "feedback": kept.of("feedback")}
