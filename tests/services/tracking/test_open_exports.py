"""Exports that are read slowly: how many a caller and a process have open, and what each holds."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from shared.devtools.installation import Installation
from shared.kit.auth import Signer, signed_headers
from shared.kit.postgres.db import Pool
from tests.kit.held import Held
from tests.support import service_of

ROWS = 1_200
SECRET = b"of every company" * 2
FILL = """
INSERT INTO reports (report_id, company, external_id, rider_id, kind, level, lng, lat, seen_at, at)
SELECT gen_random_uuid(), $1, 'r-' || n, gen_random_uuid(), 'part-01001', 'hazard', 120.3, 30.3, now(), now()
FROM generate_series(1, $2) n
"""
EXPORT = "/v1/tracking/export"
MOST, OPEN_MAX = 5, 9


class _Keys:
    async def signer(self, company: str, ask: Any = None) -> Signer:
        return Signer([SECRET])


@pytest.fixture
async def app(installation: Installation) -> AsyncIterator[Any]:
    """The service in this process; every company signs with the same key."""
    service = service_of(installation, "tracking", exports_per_minute=MOST, exports_open_max=OPEN_MAX)
    service.key_ring = _Keys()
    made = service.app()
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def company(pool: Pool, request: pytest.FixtureRequest) -> str:
    """A company of this test, with more reports than two pages have."""
    code = f"open-{abs(hash(request.node.name)) % 10**9}"
    async with pool.acquire() as conn:
        await conn.execute(FILL, code, ROWS)
    return code


def asked(app: Any, company: str) -> Held:
    """An export that the company has asked for."""
    return Held(app, EXPORT, signed_headers(company=company, secret=SECRET, method="GET", target=EXPORT))


async def test_a_company_has_two_exports_open(app: Any, company: str) -> None:
    first, second = asked(app, company), asked(app, company)
    assert [await first.begun(), await second.begun()] == [200, 200]
    third = asked(app, company)
    assert await third.begun() == 429
    assert third.headers["retry-after"]
    assert await asked(app, "another").begun() == 200  # has none, so ends at once
    first.read()
    second.read()
    lines = (await first.whole()).splitlines()
    assert len({orjson.loads(line)["report_id"] for line in lines}) == ROWS
    assert [piece.count(b"\n") for piece in first.pieces if piece] == [500, 500, 200]
    await second.whole()
    again = asked(app, company)
    assert await again.begun() == 200
    again.read()
    await again.whole()


async def test_a_process_has_few_exports_open(app: Any, pool: Pool) -> None:
    codes = [f"open-many-{number}" for number in range(OPEN_MAX)]
    async with pool.acquire() as conn:
        for code in codes:
            await conn.execute(FILL, code, 1)
    held = [asked(app, code) for code in codes]
    assert {await one.begun() for one in held} == {200}
    over = asked(app, "open-many-0")
    assert await over.begun() == 503
    for one in held:
        one.read()
        await one.whole()
    assert await asked(app, "another").begun() == 200


async def test_a_caller_may_ask_a_few_times_a_minute_for_each_company(
    app: Any, installation: Installation, company: str
) -> None:
    headers = {"Authorization": f"Bearer {installation.identity.token('exporter', '运维', ['operator'])}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tracking") as client:
        got = [(await client.get(f"{EXPORT}?company={company}", headers=headers)).status_code for _ in range(MOST + 1)]
        assert got == [200] * MOST + [429]
        assert (await client.get(f"{EXPORT}?company=another", headers=headers)).status_code == 200
        assert (await client.get(EXPORT, headers=headers)).status_code == 422
