"""Settings of the stations service."""

import hmac
from hashlib import sha256
from pathlib import Path

from pydantic import Field

from shared.kit.auth import sealing_keys
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What the kit needs, and what a city may want otherwise."""

    taxonomy_path: Path | None = Field(
        None, description="folder with kinds.csv and services.csv of the city's own; none: the shipped ones"
    )
    sightings_believed: int = Field(
        3, ge=1, le=100, description="so many riders who find a station full or closed are believed without a keeper"
    )
    sighting_hours: float = Field(3.0, gt=0, le=72, description="what only riders have found ends by itself after this")
    visit_radius_m: int = Field(150, ge=10, le=2_000, description="who is so near may check in at a station")
    visit_accuracy_m: int = Field(
        100, ge=0, le=1_000, description="so much of a phone's own uncertainty is added to it at most"
    )
    feedback_hours: int = Field(72, ge=1, le=24 * 60, description="by when a managing unit answers a rider's words")
    walk_detour: float = Field(1.3, ge=1, le=3, description="a walk is so much longer than the straight line")
    walk_kmh: float = Field(4.5, gt=0.5, le=8, description="how fast people walk")
    index_poll_s: float = Field(1.0, gt=0, le=60, description="how late a process sees what others have changed")
    clock_every_s: float = Field(2.0, gt=0, le=25, description="how late an opening or a storm shows")
    clock_rows_max: int = Field(200, ge=1, le=2_000, description="stations looked at in one transaction")
    city_name_zh: str = Field("本市", description="the city's name on the page of stations")
    city_name_en: str = Field("Our city", description="the same in English")

    def visit_keys(self) -> tuple[bytes, ...]:
        """The keys of check-in codes: the first makes them, all read them. Who learns one can unseal nothing."""
        sealing = sealing_keys(self.sealing_key.get_secret_value())
        return tuple(hmac.digest(key.text.encode(), b"beegrid stations", sha256) for key in sealing)
