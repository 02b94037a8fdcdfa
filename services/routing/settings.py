"""Settings of routing beyond the kit's."""

from pathlib import Path

from pydantic import Field

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """Read from BEEGRID_<FIELD>."""

    catalogue_path: Path | None = Field(None, description="folder with the city's own catalogue files; none: shipped")
    map_poll_s: float = Field(1.0, gt=0, le=60, description="how often a process asks which map is in force")
    draft_kept_days: int = Field(
        30,
        ge=1,
        le=366,
        description="a draft of a map, e.g. of a broken import, leaves so long after it last took areas",
    )
    exports_per_minute: int = Field(
        6,
        ge=1,
        le=6_000,
        description="downloads of the whole map by one person a minute; who asks with If-None-Match isn't counted",
    )
    exports_of_caller: int = Field(2, ge=1, le=100, description="downloads that one caller may have open at once")
    exports_open_max: int = Field(
        100, ge=1, le=1_000, description="downloads that a process has open at once, up to a quarter of a megabyte each"
    )
