"""Settings of the tracking service, besides the kit's."""

import hmac
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

from pydantic import Field, SecretStr

from shared.kit.auth import sealing_keys
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What a city may want otherwise."""

    batch_records_max: int = Field(
        200, ge=1, le=5000, description="records handled in one transaction; its statements write into many indexes"
    )
    catalogue_path: Path | None = Field(None, description="folder with the city's own kinds; none: the shipped ones")
    link_key: SecretStr | None = Field(
        None, description="32 bytes, base64: makes reporters' links; none: derived from the sealing key"
    )
    city_name_zh: str = Field("本市", description="the city's name on the pages")
    city_name_en: str = Field("Our city", description="the same in English")
    boundaries_fictional: bool = Field(
        False, description="the pages say that the areas' boundaries are invented (虚构边界)"
    )
    public_ended_days: int = Field(
        30, ge=1, le=3650, description="how long a closed or invalid case stays on the public topic for whoever comes"
    )
    exports_per_minute: int = Field(
        6, ge=1, le=6_000, description="exports of one company's reports by one caller a minute"
    )
    exports_of_caller: int = Field(2, ge=1, le=100, description="exports that one caller may have open at once")
    exports_open_max: int = Field(
        16, ge=1, le=1_000, description="exports that a process has open at once: each holds a page of rows"
    )
    overview_seconds: float = Field(3.0, ge=0, le=300, description="how old the figures on the pages may be")

    def link_keys(self) -> tuple[bytes, ...]:
        """The keys of reporters' links: the first makes them, all open them. Who learns one can unseal nothing."""
        if self.link_key is not None:
            return (b64decode(self.link_key.get_secret_value(), validate=True),)
        sealing = sealing_keys(self.sealing_key.get_secret_value())
        return tuple(hmac.digest(key.text.encode(), b"beegrid tracking links", sha256) for key in sealing)
