"""Settings of the badges service."""

import hmac
from hashlib import sha256

from pydantic import Field

from shared.kit.auth import sealing_keys
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What the kit needs, and what a city may want otherwise."""

    board_seconds: int = Field(60, ge=1, le=3_600, description="how old a board may be before it is made again")
    city_name_zh: str = Field("本市", description="the city's name on badges")
    city_name_en: str = Field("Our city", description="the same in English")

    def badge_keys(self) -> tuple[bytes, ...]:
        """The keys that sign badges: the first signs, all verify. Who learns one can unseal nothing."""
        return self._derived(b"beegrid badges")

    def handle_key(self) -> bytes:
        """The key that riders' handles are made with; another sealing key in the first place makes other handles."""
        return self._derived(b"beegrid handles")[0]

    def _derived(self, purpose: bytes) -> tuple[bytes, ...]:
        sealing = sealing_keys(self.sealing_key.get_secret_value())
        return tuple(hmac.digest(key.text.encode(), purpose, sha256) for key in sealing)
