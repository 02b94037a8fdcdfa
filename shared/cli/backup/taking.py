"""Takes a backup: one snapshot of all schemas, the unread records of Kafka, all photos, the catalogue last."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from rich.progress import Progress

from shared.cli.backup import seals, tables, tail, unread
from shared.cli.backup.manifest import (
    FORMAT_VERSION,
    FileFacts,
    KafkaFacts,
    Manifest,
    TableFacts,
    table_path,
    write_manifest,
)
from shared.cli.backup.photos import Photos
from shared.cli.backup.places import Places
from shared.cli.client import CliError
from shared.cli.cluster import unheard
from shared.kit import clock
from shared.provision.kafka import connect_admin, scram_users
from shared.provision.services import service_names
from shared.provision.topology import Cluster, known_companies


async def take(places: Places, folder: Path, progress: Progress) -> Manifest:
    """Fill an empty folder; returns its catalogue. Raises CliError; then the folder has no manifest."""
    try:
        return await _take(places, folder, progress)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CliError(
            "备份未完成 / The backup was broken off",
            f"{type(error).__name__}: {error}",
            hint=f"{folder} is no backup: remove it, look at the server or the disk, then take it again",
        ) from error
    except (KafkaException, KafkaError) as error:
        raise unheard(error, "a backup needs the unread records too: `beegrid doctor`, then take it again") from error


async def _take(places: Places, folder: Path, progress: Progress) -> Manifest:
    schemas = service_names()
    reader = await asyncio.to_thread(tail.Reader, places.cluster)
    files: dict[str, FileFacts] = {}
    positions = await asyncio.to_thread(reader.positions)
    ends: dict[tail.Place, tuple[int, int]] = {}

    async def read_ends() -> None:
        ends.update(await asyncio.to_thread(reader.ends))

    async with tables.snapshot(places.postgres_url, schemas, read_ends) as conn:
        taken_at = clock.now()
        applied = await tables.migrations(conn, schemas)
        present = await tables.tables(conn, schemas)
        copied: dict[tuple[str, str], TableFacts] = {}
        task = progress.add_task("数据表 / Tables", total=len(present))
        for table in present:
            path = table_path(table.schema, table.name)
            copied[table.schema, table.name], files[path] = await tables.copy_out(conn, table, folder / path)
            progress.advance(task)
        counted = await tables.sequences(conn, schemas)
    kept_back = await _keep_tail(unread.records(places.cluster, positions, ends), folder, files, progress)
    partitions = await asyncio.to_thread(reader.partitions)
    store = Photos(places.photos_url)
    # listed after the snapshot: whatever it refers to is there
    names = await asyncio.to_thread(store.names)
    task = progress.add_task("照片 / Photos", total=len(names))
    kept = dict(store.fetch(names, folder, lambda: progress.advance(task)))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        taken_at=taken_at,
        schemas=tables.schema_facts(applied, copied, counted),
        kafka=_kafka_facts(places.cluster, kept_back, partitions),
        photos=len(kept),
        sealing=await asyncio.to_thread(seals.needed),
        files=files | kept,
    )
    write_manifest(folder, manifest)
    return manifest


async def _keep_tail(lines: AsyncIterator[bytes], folder: Path, files: dict[str, FileFacts], progress: Progress) -> int:
    task = progress.add_task("未读记录 / Unread records", total=None)
    digest, size, count = hashlib.sha256(), 0, 0
    path = folder / tail.PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        async for line in lines:
            target.write(line)
            digest.update(line)
            size += len(line)
            count += 1
            progress.advance(task)
    progress.update(task, total=count)
    files[tail.PATH] = FileFacts(sha256=digest.hexdigest(), size_bytes=size)
    return count


def _kafka_facts(cluster: Cluster, records: int, partitions: dict[str, int]) -> KafkaFacts:
    names = scram_users(connect_admin(cluster.bootstrap, cluster.admin))
    return KafkaFacts(
        records=records,
        partitions={name.removeprefix(cluster.topic_prefix): count for name, count in sorted(partitions.items())},
        companies=known_companies(cluster),
        users=tail.users(sorted(names), cluster.user_prefix),
    )
