"""Settings of the cases service, besides the kit's."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """Rules that a city may want otherwise."""

    catalogue_path: Path | None = Field(None, description="folder with the city's own kinds; none: the shipped ones")
    duplicate_radius_m_max: float = Field(30.0, ge=1, le=200, description="farther apart is another thing")
    duplicate_hours_max: float = Field(48.0, gt=0, le=24 * 30, description="longer after the first report is another")
    duplicate_confidence_min: float = Field(
        0.6, ge=0.6, le=1, description="0.6: near in place and time is enough; above 0.8 only with similar words"
    )
    reopen_days_max: int = Field(7, ge=0, le=365, description="how long after closing a reporter may reopen a case")
    default_limit_hours: int = Field(24, ge=1, le=8760, description="time limit of a kind that the catalogue lacks")

    @property
    def reopen_within(self) -> timedelta:
        """How long after closing a reporter may reopen a case."""
        return timedelta(days=self.reopen_days_max)
