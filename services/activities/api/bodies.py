"""Bodies and parts of bodies that the routes share."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from services.activities.domain import Activity, Team
from services.activities.store.after import Stars
from shared.events.common import AnyZone, AreaCode, CompanyCode
from shared.events.outside import ONE_LINE, PLAIN_FORM, Words
from shared.kit.http.models import Answer, Body
from shared.kit.privacy.masking import masked

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
TEAMS_MAX = 30
Title = Annotated[str, Field(min_length=1, max_length=60), ONE_LINE]
Line = Annotated[str, Field(min_length=1, max_length=120), ONE_LINE]
Text = Annotated[Words, Field(max_length=2_000)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$"), PLAIN_FORM]
StationId = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$"), PLAIN_FORM]
Places = Annotated[int, Field(ge=1, le=100_000)]
Companies = Annotated[tuple[CompanyCode, ...], Field(max_length=50)]
Areas = Annotated[tuple[AreaCode, ...], Field(max_length=50)]


class TeamIn(Body):
    """A team; without times it is there all the time."""

    code: Slug
    zh: Title
    en: Title
    starts_at: AnyZone | None = None
    ends_at: AnyZone | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("starts_at is before ends_at")
        return self


class WordsIn(Body):
    """What an activity says of itself, where and when it is."""

    title_zh: Title
    title_en: Title
    words_zh: Text = ""
    words_en: Text = ""
    address: Line
    station_id: StationId | None = Field(None, description="the station where it is, if it is at one")
    starts_at: AnyZone
    ends_at: AnyZone
    signup_until: AnyZone
    places: Places


class ActivityIn(WordsIn):
    """A new activity."""

    area_code: AreaCode
    organiser: Line = Field(description="the office that answers for it, no person")
    way: Literal["queue", "lot"] = Field("queue", description="first come first served, or by lot")
    companies: Companies = Field((), description="whose riders may come; none: everybody's")
    areas: Areas = Field((), description="who works there may come; none: everybody")
    teams: Annotated[tuple[TeamIn, ...], Field(max_length=TEAMS_MAX)] = ()

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len({one.code for one in self.teams}) < len(self.teams):
            raise ValueError("two teams have the same code")
        return self


class ChangeIn(WordsIn):
    """All that may be changed. `after_version`: the one that the caller has seen."""

    after_version: int = Field(ge=1, le=1_000_000_000)


class ReasonIn(Body):
    """Why, for riders to read."""

    reason: Annotated[Line, AfterValidator(masked)]


class TeamOut(Answer):
    """A team, when it is there, and how many people it has served."""

    code: str
    zh: str
    en: str
    starts_at: datetime
    ends_at: datetime
    served: int
    version: int


class ActivityOut(Answer):
    """An activity: signups = confirmed + waiting + wished + cancelled."""

    id: UUID
    version: int
    series_id: UUID | None
    template: str | None
    title_zh: str
    title_en: str
    words_zh: str
    words_en: str
    area_code: str
    address: str
    station_id: str | None
    organiser: str
    starts_at: datetime
    ends_at: datetime
    signup_until: datetime
    places: int
    way: Literal["queue", "lot"]
    companies: tuple[str, ...]
    areas: tuple[str, ...]
    seed_hash: str | None = Field(description="by lot: SHA-256 of the seed that will decide")
    drawn_at: datetime | None
    state: Literal["open", "called_off", "over"]
    reason: str | None = Field(description="why it was called off")
    signups: int
    confirmed: int
    waiting: int
    wished: int
    cancelled: int
    attended: int
    no_shows: int


class ActivityWhole(ActivityOut):
    """With its teams and how it was liked."""

    teams: list[TeamOut]
    served: int = Field(description="people that its teams have served")
    opinions: int
    stars_average: float | None = Field(description="1 to 5, one decimal; null: nobody has said anything")

    @staticmethod
    def of(one: Activity, teams: list[Team], stars: Stars) -> "ActivityWhole":
        """All that anybody may know of it."""
        return ActivityWhole(
            **ActivityOut.model_validate(one).model_dump(),
            teams=[TeamOut.model_validate(team) for team in teams],
            served=sum(team.served for team in teams),
            opinions=stars.opinions,
            stars_average=round(stars.stars / stars.opinions, 1) if stars.opinions else None,
        )


class LineOut(Answer):
    """A sign-up as its organiser reads it: no rider."""

    number: int
    turn: int
    state: Literal["wished", "waiting", "confirmed", "cancelled"]
    outcome: Literal["attended", "no_show"] | None
    photo_consent: bool
    team: str | None
