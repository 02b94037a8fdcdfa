"""Settings of the points service."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """What the kit needs, and where the rules of a kind and the borders of a day come from."""

    catalogue_path: Path | None = Field(None, description="folder whose csv files replace the shipped catalogue's")
    city_timezone: str = Field("Asia/Shanghai", description="a day of the daily caps begins at its midnight")

    @field_validator("city_timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        ZoneInfo(name)
        return name
