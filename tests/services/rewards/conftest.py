"""A shop of the test's own: real Postgres, the service's role, empty tables."""

import pytest

from shared.devtools.installation import Installation
from tests.services.rewards.shop import Shop
from tests.support import emptied

TABLES = (
    "merchants",
    "offers",
    "redemptions",
    "voucher_attempts",
    "idempotency_keys",
    "shortages",
    "takings",
    "complaints",
    "company_months",
    "postings",
    "offline_takings",
    "statement_lines",
    "known_riders",
    "rider_levels",
)
"""And with them what refers to them: stores, staff, slots, days, stations, lists, statements."""


@pytest.fixture
async def shop(installation: Installation, pool_for) -> Shop:
    await emptied(installation, "rewards", *TABLES)
    return Shop(await pool_for("rewards"))
