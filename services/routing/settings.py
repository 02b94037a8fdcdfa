"""Settings of routing beyond the kit's."""

from pathlib import Path

from pydantic import Field

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """Read from BEEGRID_<FIELD>."""

    catalogue_path: Path | None = Field(None, description="folder with the city's own catalogue files; none: shipped")
    map_poll_s: float = Field(1.0, gt=0, le=60, description="how often a process asks which map is in force")
