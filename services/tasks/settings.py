"""Settings of the tasks service."""

from datetime import timedelta

from pydantic import Field, field_validator

from services.tasks.domain import Hours, hours_of
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What the kit needs, and what a city may want otherwise."""

    peak_hours: str = Field(
        "11:00-13:00,17:00-19:30",
        description="hours of a day, by the city's clock, in which riders have most orders: no task reaches into them",
    )
    hand_back_hours: int = Field(
        2, ge=0, le=168, description="so long before its start a place can be handed back, if the task says nothing"
    )
    start_early_minutes: int = Field(30, ge=0, le=240, description="so early a rider may start a task")
    finish_late_hours: int = Field(2, ge=0, le=48, description="so long after its end a rider may finish a task")
    near_m: int = Field(300, ge=50, le=5_000, description="so near a task's place a rider has to be to start it")
    no_shows_max: int = Field(3, ge=1, le=100, description="so many missed tasks and a rider pauses")
    no_show_days: int = Field(30, ge=1, le=366, description="days within which missed tasks are counted together")
    no_show_pause_days: int = Field(14, ge=1, le=366, description="days for which such a rider claims nothing")
    review_days: int = Field(3, ge=1, le=60, description="days within which finished work has to be reviewed")
    appeal_days: int = Field(7, ge=1, le=90, description="days within which a rider may appeal against a review")
    series_weeks: int = Field(2, ge=1, le=12, description="weeks ahead for which repeating tasks are published")
    shown_days: int = Field(30, ge=1, le=400, description="days after its end that a task stays on the public topic")
    clock_every_s: float = Field(5.0, ge=0.05, le=300, description="pause of what is done by the clock, in seconds")
    clock_rows: int = Field(100, ge=1, le=1_000, description="tasks that one piece of that work takes at most")

    @field_validator("peak_hours")
    @classmethod
    def _hours(cls, stated: str) -> str:
        hours_of(stated)
        return stated

    @property
    def peaks(self) -> tuple[Hours, ...]:
        """The peak hours."""
        return hours_of(self.peak_hours)

    @property
    def no_shows_within(self) -> timedelta:
        """Within which missed tasks are counted together."""
        return timedelta(days=self.no_show_days)

    @property
    def no_show_pause(self) -> timedelta:
        """For how long a rider pauses who missed too many."""
        return timedelta(days=self.no_show_pause_days)
