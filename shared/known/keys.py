"""Companies' secrets for checking signatures, unsealed again only when something of the company has changed."""

from collections.abc import Awaitable, Callable, Collection

from shared.kit.auth import NOBODY, CachedKeyRing, Sealer, Signer
from shared.kit.postgres.db import Connection, Pool, reading
from shared.known.companies import SealedKeys, all_codes, sealed_keys

Read = Callable[[Connection, str], Awaitable[SealedKeys | None]]
Codes = Callable[[Connection], Awaitable[Collection[str]]]


class UnsealedKeys:
    """What a key ring loads. `read`, `codes`: from a service's known companies, unless it owns the originals."""

    def __init__(
        self, pool: Callable[[], Pool], sealer: Sealer, read: Read = sealed_keys, codes: Codes = all_codes
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._read = read
        self._codes = codes
        self._unsealed: dict[str, tuple[int, Signer]] = {}

    async def load(self, company: str) -> Signer:
        """The company with its active secrets, newest first; NOBODY for an unknown one. Raises SealBroken."""
        async with reading(self._pool()) as conn:
            found = await self._read(conn, company)
        if found is None:
            return NOBODY
        kept = self._unsealed.get(company)
        if kept is None or kept[0] != found.version:
            secrets = tuple(self._sealer.unseal(sealed, company, key_id) for key_id, sealed in found.keys)
            kept = self._unsealed[company] = found.version, Signer(secrets, suspended=not found.active)
        return kept[1]

    async def codes(self) -> Collection[str]:
        """The codes of all companies."""
        async with reading(self._pool()) as conn:
            return await self._codes(conn)

    def ring(self) -> CachedKeyRing:
        """The key ring of a service that takes companies' signatures."""
        return CachedKeyRing(self.load, codes=self.codes)
