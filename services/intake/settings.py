"""Settings of the intake service."""

from pathlib import Path

from pydantic import Field

from services.intake.domain import WAITS, Waits
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """The kit's settings and intake's own."""

    catalogue_path: Path | None = Field(None, description="folder with a city's own catalogue files; none: the shipped")
    report_waits_s: int = Field(
        WAITS.seconds,
        ge=0,
        le=3600,
        description="how long a streamed report waits for its rider, to come, to agree or to be active, before it is a "
        "dead letter",
    )
    reports_waiting_max: int = Field(
        WAITS.rows_max, ge=0, le=100_000, description="streamed reports of one company that may wait for riders at once"
    )
    photo_store_url: str = Field(
        "file:///var/lib/beegrid/photos",
        description="file:///folder or s3://bucket/prefix; S3 reads the usual AWS_* variables",
    )
    http_bodies_bytes_max: int = Field(
        96_000_000,
        ge=72_000_000,
        description="bytes of request bodies that a process holds at once, half of them from one address and a quarter "
        "before its signature is checked; more: 503",
    )
    photo_workers: int = Field(2, ge=1, le=16, description="processes that decode and shrink photos")
    photo_memory_mb: int = Field(
        384, ge=128, description="address space of a process that decodes photos, MiB; the pod needs it for each"
    )
    photo_seconds: int = Field(10, ge=1, le=60, description="a photo that takes longer to decode is refused")
    photo_queue_max: int = Field(8, ge=1, le=200, description="uploads in memory at once; more are refused with 503")
    photos_per_minute: int = Field(60, ge=1, description="uploads of one rider a minute")
    company_photos_per_minute: int = Field(1_200, ge=1, description="uploads of one company a minute")
    photo_unused_hours: int = Field(
        24, ge=1, le=24 * 30, description="a photo that no report has used for so long is removed"
    )
    intake_queue_max: int = Field(2_000, ge=1, description="single reports waiting for a transaction")

    @property
    def waits(self) -> Waits:
        """How streamed reports wait."""
        return Waits(self.report_waits_s, self.reports_waiting_max)
