"""What a report leaves on disk, per service and on Kafka."""

from pathlib import Path

from shared.devtools.installation import Installation
from shared.kit.db import Pool

# Rows are counted, not estimated; an ordinary table of a run has a few hundred thousand.
SQL_TABLES = """
SELECT format('%I.%I', schemaname, relname) AS name, schemaname AS service, pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables WHERE schemaname = ANY($1::text[])
"""


async def storage(
    admin: Pool, installation: Installation, services: tuple[str, ...], reports: int
) -> dict[str, object]:
    """Rows and bytes per report: in Postgres with indexes, by service; on Kafka over all topics, one replica."""
    rows: dict[str, float] = dict.fromkeys(services, 0)
    size: dict[str, float] = dict.fromkeys(services, 0)
    for table in await admin.fetch(SQL_TABLES, list(services)):
        count = await admin.fetchval(f"SELECT count(*) FROM {table['name']}")  # noqa: S608 the catalogue's own names
        rows[table["service"]] += count / reports
        size[table["service"]] += table["bytes"] / reports
    return {
        "rows_per_report": {name: round(value, 2) for name, value in rows.items()},
        "bytes_per_report": {name: round(value) for name, value in size.items()},
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
