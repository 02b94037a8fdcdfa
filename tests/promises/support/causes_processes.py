"""Causes of alerts: processes that are gone, misled, or stand before a locked table."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from shared.devtools.suite import ServiceProcess
from shared.kit import clock
from tests.promises.support.watched import Watched, locked, repeated, until

COMPANIES = "/v1/companies"
# More than can ever be answered before the lock ends, so that no connection rests between two of them.
WAITING = 16


@asynccontextmanager
async def a_killed_process(watched: Watched) -> AsyncIterator[None]:
    """Routing's only process is gone, until it is started again."""
    routing = watched.suite.services["routing"]
    routing.kill()
    try:
        yield
    finally:
        await asyncio.to_thread(routing.start)


@asynccontextmanager
async def an_issuer_without_keys(watched: Watched) -> AsyncIterator[None]:
    """A process whose JWKS file isn't mounted, while people come with tokens."""
    missing = watched.home.folder / "mounted.json"
    riders = await watched.replica("riders", "riders-issuer", BEEGRID_JWKS_URL=missing.as_uri())
    async with repeated(lambda: _read_companies(watched, riders), every_s=2.0):
        yield
        shutil.copy(watched.home.folder / "identity" / "jwks.json", missing)
        token = _headers(watched)
        await until(
            lambda: httpx.get(riders.url + COMPANIES, headers=token, timeout=30, trust_env=False).status_code == 200,
            lambda: "the keys are there, and tokens are refused",
        )


@asynccontextmanager
async def a_certificate_of_two_days(watched: Watched) -> AsyncIterator[None]:
    """An authority that a process trusts ends soon; its file is replaced, and the process takes the new one."""
    file = watched.home.folder / "ca.pem"
    file.write_bytes(certificate(days=2))
    await watched.replica("notifications", "notifications-certificate", BEEGRID_OUTBOUND_CA_FILE=str(file))
    yield
    file.write_bytes(certificate(days=400))


@asynccontextmanager
async def a_pool_that_waits_for_a_lock(watched: Watched) -> AsyncIterator[None]:
    """Requests pile up before a table that somebody else has locked."""
    # A new process, whose average of five minutes knows no better times.
    async with locked(watched.owner("riders"), "companies"):
        riders = await watched.replica("riders", "riders-pool", BEEGRID_POSTGRES_POOL_MAX="2")
        async with repeated(lambda: _read_companies(watched, riders), every_s=0.0, crowd=WAITING):
            yield


def _headers(watched: Watched) -> dict[str, str]:
    return {"authorization": f"Bearer {watched.suite.operator_token()}"}


async def _read_companies(watched: Watched, process: ServiceProcess) -> None:
    """Whatever the answer."""
    async with httpx.AsyncClient(base_url=process.url, timeout=30, trust_env=False) as client:
        await client.get(COMPANIES, headers=_headers(watched))


def certificate(days: int) -> bytes:
    """A self-signed one, as PEM."""
    key, now = Ed25519PrivateKey.generate(), clock.now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    ends = now + timedelta(days=days)
    return made.not_valid_before(now).not_valid_after(ends).sign(key, None).public_bytes(Encoding.PEM)
