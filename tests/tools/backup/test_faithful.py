"""What comes back is what was there, byte for byte; what isn't whole, or would mix with something, is refused."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from rich.progress import Progress
from typer.testing import CliRunner, Result

from shared.cli.backup import tables
from shared.cli.backup.manifest import NAME, SEAL
from shared.cli.client import CliError
from shared.cli.main import app
from shared.events.public_case_changed import PUBLIC_CASE_CHANGED
from shared.provision.postgres import run_blocking
from shared.provision.topology import provision_company
from tests.kit.messaging.compacted import stored
from tests.tools.backup.conftest import Home

COMPANY, RIDER = uuid.UUID(int=1), uuid.UUID(int=2)
# One row or more in tables that are hard: foreign keys, identities, generated columns, arrays, JSON, bytes, infinity.
CONTENT = [
    f"INSERT INTO riders.companies VALUES ('{COMPANY}', 'suda', '速达\t\\快递\n', true, 3, now(), '2024-02-29')",
    f"INSERT INTO riders.company_keys VALUES ('{uuid.UUID(int=3)}', '{COMPANY}', 'x', true, now(), NULL)",
    f"INSERT INTO riders.riders VALUES ('{RIDER}', 'suda', 'r1', 'courier', NULL, now(), 'zh', true, NULL, 1, now(),"
    " now())",
    f"INSERT INTO riders.rider_names VALUES ('{RIDER}', '\\N')",
    "INSERT INTO riders.outbox (event_id, topic, key, version, occurred_at, headers, payload)"
    " SELECT gen_random_uuid(), 't', 'k', n, now(), '\\x00ff0a5c', '\\x5c4e0a' FROM generate_series(1, 3000) n",
    "DELETE FROM riders.outbox WHERE version < 2990",
    "INSERT INTO notifications.webhooks (company, webhook_id, url, sealed, version, updated_at)"
    f" VALUES ('suda', '{uuid.UUID(int=4)}', 'https://x', 's', 1, now())",
    "INSERT INTO points.entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account,"
    f" amount, made_at) VALUES ('{RIDER}', 1, 1, '{uuid.UUID(int=5)}', '{uuid.UUID(int=6)}', 'held', 'issuance',"
    " 'pending', 5, now())",
    "INSERT INTO points.rule_sets VALUES (2, '2030-01-01T00:00:00Z', 'op', 'why', now())",
    "INSERT INTO tracking.reports VALUES (gen_random_uuid(), 'suda', 'e', gen_random_uuid(), 'k', 'l',"
    " 120.1 + 0.2, 1e-310, now(), now())",
    "INSERT INTO cases.dead_letters (topic, partition, record_offset, headers, status, code, detail, attempts,"
    " created_at, record_ms) VALUES ('t', 2, 7, '[]', 'dead', 'c', 'd', 1, now(), 1)",
    "SELECT cases.make_inbox_day(current_date - 5)",
    "INSERT INTO cases.inbox (event_id) SELECT cases.inbox_floor(current_date - n) FROM generate_series(5, 6) n",
    f"INSERT INTO cases.inbox (event_id) VALUES ('ffffffff-ffff-8fff-bfff-ffffffffffff'), ('{uuid.UUID(int=7)}')",
]
SQL_DAY = """
SELECT tableoid::regclass = ('cases.inbox_d' || to_char(current_date - 5, 'YYYYMMDD'))::regclass
FROM cases.inbox WHERE event_id = cases.inbox_floor(current_date - 5)
"""
CONTENT_OF = """
SELECT count(*)::text || ' ' || coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '') FROM {} t
"""


async def _fill(home: Home) -> None:
    async with tables.connected(home.places.postgres_url) as conn:
        for statement in CONTENT:
            await conn.execute(statement)
    for name in ("0198/a.jpg", "0198/a.thumbnail.jpg"):
        (home.photos / name).parent.mkdir(exist_ok=True)
        (home.photos / name).write_bytes(name.encode() * 1000)


async def _leave_idle(home: Home) -> None:
    """What services write that run and have nothing to do: points begins to check its ledger."""
    async with tables.connected(home.places.postgres_url) as conn:
        await conn.execute(
            "INSERT INTO points.ledger_rounds (part, after_id, began_at, wrong, wrong_last, accounts, accounts_done,"
            f" holds, holds_done) VALUES ('accounts', '{uuid.UUID(int=0)}', now(), 0, 0, 0, 0, 0, 0)"
        )


async def _contents(home: Home) -> dict[str, str]:
    """Every table by a hash that Postgres itself calculates, sequences and photos."""
    schemas = home.installation.services
    found = {}
    async with tables.connected(home.places.postgres_url) as conn:
        await conn.execute(
            f"UPDATE cases.dead_letters SET partition = partition + {tables.KAFKA_BEFORE} WHERE partition < 0"
        )
        for table in await tables.tables(conn, schemas):
            found[table.quoted] = await conn.fetchval(CONTENT_OF.format(table.quoted))
        found["sequences"] = str(
            await conn.fetch("SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2")
        )
    for photo in sorted(home.photos.rglob("*.jpg")):
        found[photo.relative_to(home.photos).as_posix()] = photo.read_bytes().hex()
    return found


async def _has_its_day(home: Home) -> bool:
    """Whether an id of five days ago is in that day's partition."""
    async with tables.connected(home.places.postgres_url) as conn:
        return await conn.fetchval(SQL_DAY) is True


@pytest.fixture
def operate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Type a command against an installation."""

    def run(home: Home, *words: str) -> Result:
        made = home.installation
        values = {
            "BEEGRID_URL": "http://127.0.0.1:9",
            "BEEGRID_TOKEN": "none",
            "BEEGRID_POSTGRES_ADMIN_URL": made.infra.postgres_admin_url,
            "BEEGRID_POSTGRES_DATABASE": made.name,
            "BEEGRID_PHOTO_STORE_URL": home.photos.as_uri(),
            "BEEGRID_KAFKA_BOOTSTRAP": made.infra.kafka_bootstrap,
            "BEEGRID_KAFKA_ADMIN_USER": made.infra.kafka_admin_user,
            "BEEGRID_KAFKA_ADMIN_PASSWORD": made.infra.kafka_admin_password,
            "BEEGRID_TOPIC_PREFIX": made.topic_prefix,
            "BEEGRID_KAFKA_USER_PREFIX": made.user_prefix,
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, list(words))

    return run


def refused(done: Result, title: str) -> str:
    """The detail of the refusal with that title."""
    assert isinstance(done.exception, CliError), done.output
    assert title in done.exception.title
    assert "nothing was written" in done.exception.hint
    return done.exception.detail


def test_there_and_back_again(new_home: Callable[[], Home], tmp_path: Path, operate: Callable[..., Result]) -> None:
    source, target, folder = new_home(), new_home(), tmp_path / "backup"
    run_blocking(_fill(source))
    provision_company(source.places.cluster, "suda", "a-password")
    run_blocking(_leave_idle(target))
    empty = run_blocking(_contents(target))

    taken = operate(source, "backup", str(folder))
    assert taken.exit_code == 0, taken.exception
    assert operate(source, "backup", str(folder)).exception is not None  # the folder is not empty now

    # Each of these is found before anything is written.
    for name in ("postgres/riders/companies.copy", "photos/0198/a.jpg", NAME, SEAL):
        whole = (folder / name).read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 3] ^= 1
        (folder / name).write_bytes(flipped)
        assert name in refused(operate(target, "restore", str(folder)), "damaged")
        (folder / name).write_bytes(whole)
    (folder / "kafka/tail.ndjson").rename(folder / "tail")
    assert "kafka/tail.ndjson is missing" in refused(operate(target, "restore", str(folder)), "damaged")
    (folder / "tail").rename(folder / "kafka/tail.ndjson")
    assert "cases.dead_letters (1)" in refused(operate(source, "restore", str(folder)), "not empty")
    assert run_blocking(_contents(target)) == empty

    checked = operate(target, "restore", str(folder), "--dry-run")
    assert checked.exit_code == 0, checked.exception
    assert "Seals not checked" in checked.output, "no services run here that could be asked"
    assert run_blocking(_contents(target)) == empty

    done = operate(target, "restore", str(folder))
    assert done.exit_code == 0, done.exception
    assert "beegrid companies kafka suda" in done.output
    assert run_blocking(_contents(target)) == run_blocking(_contents(source))
    assert run_blocking(_has_its_day(source)) and run_blocking(_has_its_day(target))
    assert "cases.dead_letters" in refused(operate(target, "restore", str(folder)), "not empty")


def test_topics_that_keep_the_latest_state_come_whole(
    new_home: Callable[[], Home], tmp_path: Path, operate: Callable[..., Result]
) -> None:
    """Although everybody has read them: who comes after the restore has not."""
    source, target, folder = new_home(), new_home(), tmp_path / "backup"
    cluster = source.places.cluster
    producer = Producer(dict(cluster.admin.config(cluster.bootstrap)))
    for key, value in (("a", b"1"), ("b", b"1"), ("a", b"2"), ("b", None)):
        headers = [("ce_id", str(uuid.uuid4()).encode())]
        producer.produce(cluster.topic_prefix + PUBLIC_CASE_CHANGED.name, value, key, headers=headers)
    assert producer.flush(20) == 0
    assert operate(source, "backup", str(folder)).exit_code == 0
    assert operate(target, "restore", str(folder)).exit_code == 0
    found = stored(target.installation, PUBLIC_CASE_CHANGED)
    assert sorted((one.key, one.value) for one in found if one.value) == [("a", b"1"), ("a", b"2"), ("b", b"1")]
    assert found == stored(source.installation, PUBLIC_CASE_CHANGED)


def test_another_version_and_a_stray_photo_are_refused(
    new_home: Callable[[], Home], tmp_path: Path, operate: Callable[..., Result]
) -> None:
    home, folder = new_home(), tmp_path / "backup"
    assert operate(home, "backup", str(folder)).exit_code == 0
    assert operate(home, "restore", str(folder), "--dry-run").exit_code == 0, "a new suite counts as empty"

    (home.photos / "stray.jpg").write_bytes(b"x")
    assert "stray.jpg" in refused(operate(home, "restore", str(folder)), "not empty")
    (home.photos / "stray.jpg").unlink()

    async def later() -> None:
        async with tables.connected(home.places.postgres_url) as conn:
            await conn.execute("INSERT INTO cases.schema_migrations VALUES ('0099')")

    run_blocking(later())
    assert "cases: migration" in refused(operate(home, "restore", str(folder)), "another version")


async def test_what_is_loaded_wrongly_is_not_kept(
    new_home: Callable[[], Home], tmp_path: Path, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that changes a value while it loads: hashes after loading differ, and nothing stays."""
    from shared.cli.backup.manifest import read_manifest
    from shared.cli.backup.returning import put_back
    from shared.cli.backup.taking import take

    source, target, folder = new_home(), new_home(), tmp_path / "backup"
    folder.mkdir()
    await _fill(source)
    await take(source.places, folder, quiet)
    async with tables.connected(target.places.postgres_url) as conn:
        # pads what it is given: the row comes in, and is another
        await conn.execute("ALTER TABLE riders.companies ALTER COLUMN name TYPE character(40)")
    with pytest.raises(CliError, match=r"riders\.companies"):
        await put_back(target.places, folder, read_manifest(folder), quiet)
    async with tables.connected(target.places.postgres_url) as conn:
        assert await tables.occupied(conn, await tables.tables(conn, target.installation.services)) == []


async def test_only_rules_come_with_the_migrations(new_home: Callable[[], Home]) -> None:
    """What migrations fill is said in retention.py (`seeded`), or a new suite would not count as empty."""
    home = new_home()
    async with tables.connected(home.places.postgres_url) as conn:
        filled = {}
        for table in await tables.tables(conn, home.installation.services):
            if rows := await conn.fetchval(f"SELECT count(*) FROM {table.quoted}"):
                filled[table.schema, table.name] = rows
    # a leader of points begins to check the ledger, though it is empty
    assert filled == {table: rows for table, rows in tables.seeded().items() if table != ("points", "ledger_rounds")}
    assert filled["points", "rule_sets"] == 1
