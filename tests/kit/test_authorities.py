"""An authority is exchanged under running services: each new connection trusts what the file holds by then."""

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.notifications.outbound.tls import context as outbound
from shared.devtools.infra.kafka import Kafka, start_kafka
from shared.devtools.infra.suite import Infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.events.report_received import REPORT_RECEIVED
from shared.kit import clock, measuring, metrics
from shared.kit.http.limits import RateLimiter
from shared.kit.postgres.db import authorities_of, create_pool
from shared.kit.service import Service
from shared.kit.service.running import running
from shared.kit.tls import LivingContext
from shared.provision.postgres import owner_role
from tests.authorities import Authority
from tests.kit.messaging.conftest import Pair, report
from tests.support import settings_of

PATIENCE_S = 90.0
OLD, NEW = Authority("old"), Authority("new", clock.now() + timedelta(days=90))


def shown(file: Path) -> float:
    """What the process says of a file."""
    return float(metrics.CERTIFICATE_NOT_AFTER.labels(file=str(file))._value.get())


@dataclass
class Secure:
    """A Kafka whose certificate is of the authority in the file, and what is set up on it."""

    kafka: Kafka
    installation: Installation
    ca_file: Path
    chain: Path


@pytest.fixture
def secure(infra: Infra, tmp_path: Path) -> Iterator[Secure]:
    ca_file, chain = tmp_path / "ca.crt", tmp_path / "chain.pem"
    OLD.write(ca_file)
    OLD.chain(chain)
    with contextlib.closing(Guard()) as guard:
        kafka = start_kafka(guard, brief=True, chain=chain)
        own = replace(
            infra,
            kafka_bootstrap=kafka.bootstrap,
            kafka_admin_user=kafka.admin_user,
            kafka_admin_password=kafka.admin_password,
        )
        with Installation.fresh(own, tmp_path / "home", "s", services=("intake", "routing")) as made:
            yield Secure(kafka, made, ca_file, chain)


async def test_kafka_s_authority_is_exchanged_under_running_services(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "CERTIFICATES_EVERY_S", 0.2)
    settings = partial(
        settings_of,
        secure.installation,
        kafka_bootstrap=f"127.0.0.1:{secure.kafka.secure_port}",
        kafka_security="SASL_SSL",
        kafka_ca_file=str(secure.ca_file),
    )
    owner = await asyncpg.connect(secure.installation.dsn("routing", owner_role))
    await owner.execute(
        "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, key text, version int, text text)"
    )
    await owner.close()
    publisher = Service("intake", settings("intake"), title="publisher")
    hearer = Service("routing", settings("routing"), title="hearer")
    pair = Pair(publisher, hearer, secure.installation)
    hearer.consumes(REPORT_RECEIVED, lambda work, events: pair.handle(work, events))
    async with running(publisher), running(hearer):
        await pair.publish((report("before"), 1))
        await heard(pair, ["before"])
        assert shown(secure.ca_file) == pytest.approx(OLD.ends.timestamp(), abs=1)
        NEW.write(secure.ca_file)
        NEW.chain(secure.chain)
        await asyncio.to_thread(secure.kafka.restart)
        await pair.publish((report("after"), 1))
        await heard(pair, ["before", "after"])
        assert shown(secure.ca_file) == pytest.approx(NEW.ends.timestamp(), abs=1)


async def heard(pair: Pair, texts: list[str]) -> None:
    """Wait until these have taken effect."""
    async with asyncio.timeout(PATIENCE_S):
        while [text for _, _, text in await pair.effects()] != texts:
            await asyncio.sleep(0.1)


async def test_postgres_s_authority_is_exchanged_under_a_pool(tmp_path: Path, installation: Installation) -> None:
    """Of a real Postgres, whose build has no TLS: that is put before it."""
    plain = httpx.URL(installation.dsn("riders"))
    address = (plain.host, plain.port or 5432)
    ca_file = tmp_path / "ca.crt"
    OLD.write(ca_file)
    async with contextlib.AsyncExitStack() as stack:
        async with before(address, OLD.chain(tmp_path / "chain.pem"), asked=True) as port:
            dsn = str(plain.copy_with(port=port, query=f"sslmode=verify-full&sslrootcert={ca_file}".encode()))
            settings = settings_of(installation, "riders", postgres_dsn=dsn)
            assert authorities_of(settings) == [ca_file]
            pool = await create_pool(settings, "test")
            stack.callback(pool.terminate)
            assert await pool.fetchval("SELECT 1") == 1
        async with before(address, NEW.chain(tmp_path / "chain.pem"), port, asked=True):
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                await asyncpg.connect(dsn)
            NEW.write(ca_file)
            for _ in range(3):  # those that were cut are thrown away
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await pool.fetchval("SELECT 1")
            assert await pool.fetchval("SELECT 1") == 1


@contextlib.asynccontextmanager
async def before(address: tuple[str, int], chain: Path, port: int = 0, *, asked: bool = False) -> AsyncIterator[int]:
    """TLS in front of a server that speaks without; yields the port, and cuts all connections at its end.

    `asked`: a client asks for it first, as Postgres' do.
    """
    open_now: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.append(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asked:
            await reader.readexactly(8)
            writer.write(b"S")
            try:
                await writer.start_tls(serving)
            except OSError:  # the client doesn't trust us
                return
        inner_reader, inner_writer = await asyncio.open_connection(*address)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(chain)
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=None if asked else serving)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_now:
            writer.transport.abort()
        await asyncio.sleep(0.1)


async def test_redis_authority_is_exchanged_under_a_limiter(infra: Infra, tmp_path: Path) -> None:
    plain = httpx.URL(infra.redis_url)
    address = (plain.host, plain.port or 6379)
    ca_file = tmp_path / "ca.crt"
    OLD.write(ca_file)
    async with before(address, OLD.chain(tmp_path / "chain.pem")) as port:
        url = f"rediss://:{plain.password}@127.0.0.1:{port}/0?ssl_ca_certs={ca_file}"
        limiter = RateLimiter.from_url(url, service="authorities", per_minute=60, patience_s=10)
        assert await shared(limiter)
    NEW.write(ca_file)
    async with before(address, NEW.chain(tmp_path / "chain.pem"), port):
        assert await shared(limiter)
    OLD.write(ca_file)
    async with before(address, NEW.chain(tmp_path / "chain.pem"), port):
        assert not await shared(limiter), "an authority that is no longer in the file is trusted"
    await limiter.aclose()


async def shared(limiter: RateLimiter) -> bool:
    """Whether Redis was asked, and not this process' own count."""
    return await limiter._take_shared("x", 1_000, 60_000_000) is not None


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A receiver of webhooks."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_the_city_s_own_authority_is_exchanged_under_the_sender(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    OLD.write(ca_file)
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with server, httpx.AsyncClient(trust_env=False, verify=outbound(ca_file), timeout=20) as client:
        async with before(address, OLD.chain(tmp_path / "chain.pem")) as port:
            assert (await client.get(f"https://localhost:{port}/")).status_code == 204
        NEW.write(ca_file)
        async with before(address, NEW.chain(tmp_path / "chain.pem"), port):
            assert (await client.get(f"https://localhost:{port}/")).status_code == 204
        async with before(address, OLD.chain(tmp_path / "chain.pem"), port):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(f"https://localhost:{port}/")


def subjects(context: LivingContext) -> set[str]:
    """Names of the authorities that a new connection trusts."""
    context.refresh()
    found = context._made.get_ca_certs()
    return {value for one in found for ((_, value),) in one["subject"]}  # type: ignore[union-attr]  # as documented


def test_a_file_that_is_no_longer_good_leaves_the_authorities_that_were(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    OLD.write(ca_file)
    context = LivingContext(ca_file)
    for harm in (partial(ca_file.write_text, "half of a cert"), ca_file.unlink):
        harm()
        assert subjects(context) == {"old"}
        assert context.not_after_s == pytest.approx(OLD.ends.timestamp(), abs=1), "the figure is of what is in use"
    NEW.write(ca_file)
    assert subjects(context) == {"new"}
    assert context.not_after_s == pytest.approx(NEW.ends.timestamp(), abs=1)


def test_a_former_authority_beside_the_file_is_trusted_until_it_is_taken_away(tmp_path: Path) -> None:
    ca_file, former = tmp_path / "ca.crt", tmp_path / "ca-2026-11-30T02-30-00Z.crt"
    OLD.write(ca_file)
    context = LivingContext(ca_file)
    shutil.copy(ca_file, former)
    shutil.copy(ca_file, tmp_path / "ca-bundle.crt")  # somebody else's
    NEW.write(ca_file)
    assert subjects(context) == {"old", "new"}
    assert context.not_after_s == pytest.approx(NEW.ends.timestamp(), abs=1), "nobody shows the former one for long"
    former.unlink()
    assert subjects(context) == {"new"}


def test_without_a_certificate_there_is_no_beginning(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        LivingContext(tmp_path / "none.crt")
    (tmp_path / "empty.crt").write_text("nothing")
    with pytest.raises(OSError):
        LivingContext(tmp_path / "empty.crt")
