"""Visits, and the sums of a station's days."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.stations.domain.words import Figures, Totals
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(frozen=True, slots=True)
class Sum:
    """What is added to a station's day."""

    station_id: UUID
    day: date
    open_s: int = 0
    ratings: int = 0
    stars: int = 0
    sightings: int = 0


_ADD_VISITS = """
), sums AS (
    SELECT station_id, visited_on, count(*) AS n FROM gone GROUP BY station_id, visited_on
), added AS (
    INSERT INTO station_days AS d (station_id, day, visits)
    SELECT station_id, visited_on, n FROM sums ORDER BY station_id, visited_on
    ON CONFLICT (station_id, day) DO UPDATE SET visits = d.visits + excluded.visits
)
SELECT count(*) FROM gone
"""
# Once a rider, station and day: the key decides
SQL_VISIT = """
INSERT INTO visits (station_id, rider_id, visited_on, way, visited_at) VALUES ($1, $2, $3, $4, now())
ON CONFLICT DO NOTHING RETURNING station_id
"""
# A visit becomes a number of its day, in the statement that deletes it. A day is over by then for every clock.
SQL_FOLD = f"""
WITH gone AS (
    DELETE FROM visits WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM visits WHERE visited_at < now() - interval '24 hours' AND visited_on < $1
        ORDER BY visited_at LIMIT $2))
    RETURNING station_id, visited_on
{_ADD_VISITS}
"""
SQL_FORGET = f"""
WITH gone AS (
    DELETE FROM visits WHERE rider_id = ANY($1::uuid[]) RETURNING station_id, visited_on
{_ADD_VISITS}
"""
SQL_ADD = f"""
INSERT INTO station_days AS d ({columns(Sum)}) SELECT {columns(Sum, "n")} FROM {unnest(Sum)}
ORDER BY n.station_id, n.day
ON CONFLICT (station_id, day) DO UPDATE SET open_s = d.open_s + excluded.open_s,
    ratings = d.ratings + excluded.ratings, stars = d.stars + excluded.stars,
    sightings = d.sightings + excluded.sightings
"""
SQL_SUMS = """
SELECT s.id AS station_id, s.code, s.name, s.area_code,
       (coalesce(d.visits, 0) + coalesce(v.visits, 0))::bigint AS visits, coalesce(d.open_s, 0)::bigint AS open_s,
       coalesce(d.ratings, 0)::bigint AS ratings, coalesce(d.stars, 0)::bigint AS stars,
       coalesce(d.sightings, 0)::bigint AS sightings
FROM stations s
LEFT JOIN LATERAL (
    SELECT sum(visits) AS visits, sum(open_s) AS open_s, sum(ratings) AS ratings, sum(stars) AS stars,
           sum(sightings) AS sightings
    FROM station_days d WHERE d.station_id = s.id AND d.day BETWEEN $1 AND $2
) d ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS visits FROM visits v WHERE v.station_id = s.id AND v.visited_on BETWEEN $1 AND $2
) v ON true
"""
SQL_FIGURES = Query(
    Figures, f"{SQL_SUMS} WHERE s.code > $3 AND ($4::text[] IS NULL OR s.area_code = ANY($4)) ORDER BY s.code LIMIT $5"
)

# One row a kind; a station that was given up counts for the days on which it was there
SQL_TOTALS = Query(
    Totals,
    """
WITH chosen AS (
    SELECT id, kind, retired_reason IS NULL AS there FROM stations WHERE $3::text[] IS NULL OR area_code = ANY($3)
), days AS (
    SELECT station_id, sum(visits) AS visits, sum(open_s) AS open_s, sum(ratings) AS ratings, sum(stars) AS stars,
           sum(sightings) AS sightings
    FROM station_days WHERE day BETWEEN $1 AND $2 GROUP BY station_id
), fresh AS (
    SELECT station_id, count(*) AS visits FROM visits WHERE visited_on BETWEEN $1 AND $2 GROUP BY station_id
)
SELECT c.kind, count(*) FILTER (WHERE c.there) AS stations,
       (coalesce(sum(d.visits), 0) + coalesce(sum(f.visits), 0))::bigint AS visits,
       coalesce(sum(d.open_s), 0)::bigint AS open_s, coalesce(sum(d.ratings), 0)::bigint AS ratings,
       coalesce(sum(d.stars), 0)::bigint AS stars, coalesce(sum(d.sightings), 0)::bigint AS sightings
FROM chosen c LEFT JOIN days d ON d.station_id = c.id LEFT JOIN fresh f ON f.station_id = c.id
GROUP BY c.kind ORDER BY c.kind
""",
)


async def visit(conn: Connection, station_id: UUID, rider_id: UUID, on: date, way: str) -> bool:
    """Count a rider's visit; False: it is counted that day."""
    return await conn.fetchval(SQL_VISIT, station_id, rider_id, on, way) is not None


async def fold(conn: Connection, today: date, most: int) -> int:
    """Visits of days before become numbers of their days; how many."""
    found: int = await conn.fetchval(SQL_FOLD, today, most)
    return found


async def forget(conn: Connection, riders: Sequence[UUID]) -> None:
    """The same at once, of riders who left."""
    await conn.execute(SQL_FORGET, list(riders))


async def add(conn: Connection, sums: Collection[Sum]) -> None:
    """Add to stations' days."""
    if sums:
        await conn.execute(SQL_ADD, *arrays(Sum, sorted(sums, key=lambda one: (one.station_id, one.day))))


async def figures(
    conn: Connection, first: date, last: date, after: str, areas: Collection[str] | None, limit: int
) -> list[Figures]:
    """Sums by station, by code; both days included."""
    return await many(conn, SQL_FIGURES, first, last, after, None if areas is None else list(areas), limit)


async def totals(conn: Connection, first: date, last: date, areas: Collection[str] | None) -> list[Totals]:
    """Sums by kind of station."""
    return await many(conn, SQL_TOTALS, first, last, None if areas is None else list(areas))
