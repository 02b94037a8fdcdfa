"""The catalogue as it was published last, entry by entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many


@dataclass(frozen=True, slots=True)
class Published:
    """An entry, its version, and its body as JSON values: None where it has left."""

    entry: str
    version: int
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many entries there are, and how many have left."""

    here: int
    gone: int


# What is wanted: entries of files, as texts of JSON, and the areas of one version of the map. What differs from what
# was published gets the next version; the first $4 of it: a large new map is no single large transaction.
SQL_PUBLISH = Query(
    Published,
    f"""
WITH wanted AS (
    SELECT entry, body::jsonb AS body FROM unnest($1::text[], $2::text[]) AS files (entry, body)
    UNION ALL
    SELECT 'area/' || code, jsonb_build_object(
        'entry', 'area/' || code, 'sort', 'area', 'code', code, 'name_zh', name, 'name_en', '', 'kind', NULL,
        'on_map', jsonb_build_object('level', level, 'parent', parent_code, 'fictional', fictional), 'refusal', NULL)
    FROM areas WHERE version_id = $3
), different AS (
    SELECT entry, wanted.body FROM wanted FULL JOIN catalogue_entries kept USING (entry)
    WHERE wanted.body IS DISTINCT FROM kept.body ORDER BY entry LIMIT $4
)
INSERT INTO catalogue_entries AS kept (entry, version, body) SELECT entry, 1, body FROM different
ON CONFLICT (entry) DO UPDATE SET version = kept.version + 1, body = excluded.body
WHERE kept.body IS DISTINCT FROM excluded.body
RETURNING {columns(Published)}
""",
)
SQL_PAGE = Query(
    Published,
    f"SELECT {columns(Published)} FROM catalogue_entries WHERE entry > $1 ORDER BY entry LIMIT $2 FOR UPDATE",
)
SQL_TALLY = Query(
    Tally, "SELECT count(body) AS here, count(*) FILTER (WHERE body IS NULL) AS gone FROM catalogue_entries"
)


async def publish(
    conn: Connection, files: Sequence[tuple[str, str]], version_id: UUID | None, most: int
) -> list[Published]:
    """Keep what is wanted, and say what of it is new. `files`: entries with their bodies as JSON text."""
    entries, bodies = [entry for entry, _ in files], [body for _, body in files]
    return await many(conn, SQL_PUBLISH, entries, bodies, version_id, most)


async def lock_after(conn: Connection, entry: str, most: int) -> list[Published]:
    """The next entries, locked, those that have left among them."""
    return await many(conn, SQL_PAGE, entry, most)


async def tally(conn: Connection) -> Tally:
    """How many entries."""
    return (await many(conn, SQL_TALLY))[0]
