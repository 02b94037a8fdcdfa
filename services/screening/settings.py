"""Settings of the screening service."""

from pydantic import Field

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """What the kit needs, and how long exact places stay."""

    places_kept_hours: int = Field(
        24, ge=2, le=24 * 7, description="how long screening keeps a report's exact place and time, to compare journeys"
    )
