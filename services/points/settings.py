"""Settings of the points service."""

from pathlib import Path

from pydantic import Field

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """What the kit needs, and where the rules of a kind and the borders of a day come from."""

    catalogue_path: Path | None = Field(None, description="folder whose csv files replace the shipped catalogue's")
