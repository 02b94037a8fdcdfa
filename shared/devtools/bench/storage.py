"""What a report leaves on disk, per service and on Kafka."""

from collections import Counter
from pathlib import Path

from shared.devtools.installation import Installation
from shared.kit.postgres.db import Pool

# Rows are counted, not estimated; an ordinary table of a run has a few hundred thousand. Partitions are tables like
# others; the table that they make up is none.
SQL_TABLES = """
SELECT format('%I.%I', schemaname, relname) AS name, schemaname AS service, pg_total_relation_size(relid) AS bytes,
       (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(relid), relid)) AS whole
FROM pg_stat_user_tables WHERE schemaname = ANY($1::text[]) AND NOT EXISTS (
    SELECT FROM pg_class WHERE oid = relid AND relkind = 'p')
"""
ROWS_ENOUGH = 1_000
"""For a mean; with fewer the empty pages of indexes count."""


async def storage(
    admin: Pool, installation: Installation, services: tuple[str, ...], reports: int
) -> dict[str, object]:
    """Rows and bytes per report: in Postgres with indexes, by service; on Kafka over all topics, one replica.

    And bytes a row of each table that has many.
    """
    rows: dict[str, float] = dict.fromkeys(services, 0)
    size: dict[str, float] = dict.fromkeys(services, 0)
    rows_of, bytes_of = Counter[str](), Counter[str]()
    for table in await admin.fetch(SQL_TABLES, list(services)):
        count = await admin.fetchval(f"SELECT count(*) FROM {table['name']}")  # noqa: S608 the catalogue's own names
        if not count:
            continue
        whole = f"{table['service']}.{table['whole']}"
        rows_of[whole] += count
        bytes_of[whole] += table["bytes"]
        rows[table["service"]] += count / reports
        size[table["service"]] += table["bytes"] / reports
    return {
        "rows_per_report": {name: round(value, 2) for name, value in rows.items()},
        "bytes_per_report": {name: round(value) for name, value in size.items()},
        "bytes_per_row": {name: round(bytes_of[name] / n, 1) for name, n in sorted(rows_of.items()) if n > ROWS_ENOUGH},
        "kafka_bytes_per_report": round(kafka_bytes(installation) / reports),
    }


def kafka_bytes(installation: Installation) -> int:
    """Bytes of the installation's topics on a local broker; 0 where the broker is somebody else's."""
    kafka = installation.infra.kafka
    if kafka is None:
        return 0
    return sum(_written(file) for file in Path(kafka.spec.home).glob(f"log/{installation.topic_prefix}*/*.log"))


def _written(file: Path) -> int:
    """What is on disk: Kafka may have made the file longer in advance."""
    stat = file.stat()
    return min(stat.st_size, stat.st_blocks * 512)
