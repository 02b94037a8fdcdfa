"""Settings of the activities service."""

import hmac
from datetime import timedelta
from hashlib import sha256

from pydantic import Field

from shared.kit.auth import sealing_keys
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What the kit needs, and what a city may want otherwise."""

    signups_max: int = Field(20_000, ge=1, le=100_000, description="sign-ups of one activity, those who wait included")
    remind_hours: int = Field(24, ge=1, le=168, description="so many hours before it riders are reminded")
    remind_every_s: float = Field(20.0, gt=0, le=600, description="how often is looked for whom to remind")
    draw_every_s: float = Field(5.0, gt=0, le=600, description="a draw is held at most this late")
    say_every_s: float = Field(1.0, gt=0, le=60, description="city systems hear of new numbers at most this late")
    checkin_early_minutes: int = Field(60, ge=0, le=1_440, description="check-in opens so long before the beginning")
    checkin_late_minutes: int = Field(60, ge=0, le=1_440, description="and closes so long after the end")
    checkins_per_minute: int = Field(10, ge=1, le=6_000, description="codes that a rider may try a minute")
    staff_checkins_per_minute: int = Field(240, ge=1, le=6_000, description="codes that a member of staff may take")
    rows_max: int = Field(500, ge=1, le=5_000, description="riders who are reminded, or activities, in one transaction")

    @property
    def early(self) -> timedelta:
        """How long before the beginning riders may check in."""
        return timedelta(minutes=self.checkin_early_minutes)

    @property
    def late(self) -> timedelta:
        """How long after the end."""
        return timedelta(minutes=self.checkin_late_minutes)

    def code_keys(self) -> tuple[bytes, ...]:
        """The keys that codes are made with: the first makes them, all take them. Who learns one can unseal nothing."""
        sealing = sealing_keys(self.sealing_key.get_secret_value())
        return tuple(hmac.digest(key.text.encode(), b"beegrid activities", sha256) for key in sealing)
