"""The companies whose requests this service knows by their signatures."""

from collections.abc import Callable

from services.notifications.store import people
from shared.kit.auth import Sealer
from shared.kit.db import Pool, reading


async def signing_keys(pool_of: Callable[[], Pool], sealer: Sealer, company: str) -> list[bytes]:
    """The company's active secrets as the riders service has said them."""
    async with reading(pool_of()) as conn:
        sealed = await people.company_keys(conn, company)
    return [sealer.unseal(one, company, str(key_id)) for key_id, one in sealed]


async def codes(pool_of: Callable[[], Pool]) -> set[str]:
    """The codes of all companies."""
    async with reading(pool_of()) as conn:
        return await people.company_codes(conn)
