"""Puts a backup back into an empty suite: checks everything first, loads, compares, and only then lets it count."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from confluent_kafka import KafkaException
from rich.progress import Progress

from shared.cli.backup import erased, tables, tail
from shared.cli.backup.erased import Erased
from shared.cli.backup.manifest import Manifest, damaged
from shared.cli.backup.photos import FOLDER, Photos
from shared.cli.backup.places import Places
from shared.cli.client import CliError
from shared.cli.cluster import unheard
from shared.provision.services import forgetting, service_names
from shared.provision.topology import provision_company

SHOWN_MAX = 5


def check_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Compare every file with the catalogue. Raises CliError that names those that differ."""
    task = progress.add_task("核对文件 / Checking files", total=len(manifest.files))
    wrong = []
    for name, problem in damaged(folder, manifest):
        progress.advance(task)
        if problem is not None:
            wrong.append(f"{name} {problem}")
    if wrong:
        raise CliError(
            "备份已损坏 / The backup is damaged",
            _some(wrong),
            hint="nothing was written; take the folder from another copy",
        )


async def check_target(places: Places, manifest: Manifest) -> None:
    """Whether the suite is of the backup's version, and empty. Raises CliError."""
    schemas = service_names()
    async with tables.connected(places.postgres_url) as conn:
        present = await tables.tables(conn, schemas)
        if differing := tables.differences(manifest, await tables.migrations(conn, schemas), present):
            raise CliError(
                "版本不同 / The suite is of another version than the backup",
                _some(differing),
                hint="nothing was written; restore with the version that took the backup, then update",
            )
        _refuse_occupied(await tables.occupied(conn, present))
    try:
        await asyncio.to_thread(_check_kafka, places, manifest)
    except KafkaException as error:
        raise unheard(error, "`beegrid doctor`") from error
    known = {path.removeprefix(f"{FOLDER}/") for path in manifest.files if path.startswith(f"{FOLDER}/")}
    _refuse_occupied([name for name in await asyncio.to_thread(Photos(places.photos_url).names) if name not in known])


def _check_kafka(places: Places, manifest: Manifest) -> None:
    reader = tail.Reader(places.cluster)
    prefix = places.cluster.topic_prefix
    holding = sorted({topic for (topic, _), (first, after) in reader.ends().items() if after > first})
    _refuse_occupied([f"topic {topic}" for topic in holding])
    narrow = [
        f"{topic.removeprefix(prefix)}: {count}, {manifest.kafka.partitions[topic.removeprefix(prefix)]} needed"
        for topic, count in reader.partitions().items()
        if count < manifest.kafka.partitions.get(topic.removeprefix(prefix), 0)
    ]
    if narrow:
        raise CliError(
            "分区不足 / Topics have fewer partitions than in the backup", _some(narrow), hint="add partitions"
        )


async def put_back(
    places: Places, folder: Path, manifest: Manifest, progress: Progress, left: Sequence[Erased] = ()
) -> None:
    """Load and compare. Rows count only when all of them are there and equal, and Kafka has the unread records.

    Raises:
        CliError: something is not as in the backup; the database is empty as before.
    """
    photos = [path for path in manifest.files if path.startswith(f"{FOLDER}/")]
    store = Photos(places.photos_url)
    task = progress.add_task("照片 / Photos", total=len(photos))
    await asyncio.to_thread(store.store, photos, folder, lambda: progress.advance(task))
    if wrong := await asyncio.to_thread(store.differing, {path: manifest.files[path] for path in photos}):
        raise CliError("照片不一致 / Photos differ after restoring", _some(wrong), hint="look at the object store")
    try:
        for code in manifest.kafka.companies:
            # the password is nobody's: the operator is asked for a new one
            await asyncio.to_thread(provision_company, places.cluster, code, secrets.token_urlsafe(24))
        await _load(places, folder, manifest, progress, left)
    except KafkaException as error:
        raise unheard(error, "`beegrid doctor`") from error
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise CliError(
            "系统正在被使用 / The suite is being used", str(error), hint="nothing counts yet: run the same again"
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CliError(
            "Postgres 未收下 / Postgres has not taken it",
            f"{type(error).__name__}: {error}",
            hint="nothing of it counts; look at the server's log, then run the same again",
        ) from error


async def _load(places: Places, folder: Path, manifest: Manifest, progress: Progress, left: Sequence[Erased]) -> None:
    schemas = service_names()
    async with tables.connected(places.postgres_url) as conn, conn.transaction():
        present = await tables.tables(conn, schemas)
        # Services wait, and find either nothing or everything. Tail before outboxes: a key's older events come first.
        await conn.execute(f"LOCK TABLE {', '.join(table.quoted for table in present)} IN ACCESS EXCLUSIVE MODE")
        _refuse_occupied(await tables.occupied(conn, present))
        task = progress.add_task("数据表 / Tables", total=len(present))
        differing = await tables.copy_in(conn, folder, manifest, present, lambda _: progress.advance(task))
        if differing:
            raise CliError(
                "内容不一致 / What was loaded is not what was saved",
                _some(differing),
                hint="nothing was kept; report it with both servers' versions",
            )
        await tables.set_letters_apart(conn, schemas)
        await erased.enter(conn, tuple(forgetting()), left)
        task = progress.add_task("未读记录 / Unread records", total=manifest.kafka.records)
        await asyncio.to_thread(tail.publish, places.cluster, folder / tail.PATH, lambda: progress.advance(task))


def _refuse_occupied(found: list[str]) -> None:
    if found:
        raise CliError(
            "目标不是空的 / The suite is not empty",
            _some(found),
            hint="nothing was written; restore goes into a new suite: stop this one, move its .beegrid away except "
            "secrets.json, which opens what is sealed, `make up`",
        )


def _some(found: list[str]) -> str:
    more = f" … and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
    return ", ".join(found[:SHOWN_MAX]) + more
