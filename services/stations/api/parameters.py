"""Parts of bodies and answers that the routes share, and who may keep a station."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from services.stations.domain.details import CODE, LINE_MAX, NAME_MAX
from services.stations.domain.hours import TEXT_MAX
from services.stations.domain.words import Station
from services.stations.store import stations as store
from services.stations.usecases.rules import Rules
from shared.events.outside import LEGIBLE, ONE_LINE, PLAIN_FORM
from shared.events.public_station_changed import StationState
from shared.kit.auth import AnyOf, GridWorker, Merchant, Operator, Principal
from shared.kit.http.models import Answer
from shared.kit.ids import one_form
from shared.kit.postgres.db import Connection
from shared.kit.privacy.masking import masked
from shared.kit.problems import FORBIDDEN

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
_VISIBLE = r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=_VISIBLE), ONE_LINE]
Sentence = Annotated[str, Field(min_length=1, max_length=LINE_MAX, pattern=_VISIBLE), ONE_LINE]
Said = Annotated[Sentence, AfterValidator(masked)]
"""What everybody may read: without numbers of people."""
StationCode = Annotated[str, Field(pattern=CODE, examples=["HC-0001"]), PLAIN_FORM]
TaxonomyCode = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40), PLAIN_FORM]
Hours = Annotated[str, Field(max_length=100, pattern=r"^[0-9:,\- ]*$", examples=["09:00-12:00", ""]), PLAIN_FORM]
"""Of one day; empty: closed."""
WeekHours = Annotated[
    str,
    Field(
        min_length=1,
        max_length=TEXT_MAX,
        pattern=r"^[0-9A-Za-z:;,/\-\u4e00-\u9fff ]*$",
        examples=["1-5 08:00-20:00; 6-7 09:00-18:00"],
    ),
    PLAIN_FORM,
]
OptionalName = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f]*$"), LEGIBLE]
Person = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$"), PLAIN_FORM, AfterValidator(one_form)
]
Staff = AnyOf(Operator, GridWorker, Merchant)
"""Who may be a station's keeper: by their areas, or named as one."""


class StationOut(Answer):
    """A station as everybody reads it: WGS-84, the phone that hangs on its door, and what is so now."""

    id: UUID
    code: str
    edition: int
    version: int
    name: str
    kind: str
    sponsor: str
    area_code: str
    address: str
    lng: float
    lat: float
    managing_unit: str
    responsible: str
    duty_phone: str
    hours: str
    open_on_holidays: bool
    services: tuple[str, ...]
    parking_places: int | None
    photos: tuple[str, ...]
    retired_reason: str | None
    state: StationState
    is_open: bool
    state_reason: str
    state_since: datetime
    state_until: datetime | None = Field(description="when it will be otherwise, as far as is known")
    faults: tuple[str, ...] = Field(description="codes of what is out of order")
    list_year: int | None
    list_version: int | None
    changed_at: datetime


def areas_of(caller: Principal, rules: Rules) -> Collection[str] | None:
    """All areas that an office answers for; None: the whole city."""
    if caller.has("operator") and caller.covers_city:
        return None
    return rules.tree().below(caller.areas) if caller.has("operator") or caller.has("grid_worker") else ()


def require_area(caller: Principal, area_code: str) -> None:
    """Raises the 403 problem where an area isn't one of the caller's."""
    if not caller.covers(area_code):
        raise FORBIDDEN("the station lies in none of your areas")


async def require_keeper(conn: Connection, caller: Principal, one: Station) -> None:
    """Raises the 403 problem of whoever may not say what is so at a station."""
    office = caller.has("operator") or caller.has("grid_worker")
    if office and caller.covers(one.area_code):
        return
    if not await store.is_keeper(conn, one.id, caller.id):
        raise FORBIDDEN("you are no keeper of this station")


def role_of(caller: Principal) -> str:
    """As what a keeper speaks."""
    return next((role for role in ("operator", "grid_worker", "merchant") if caller.has(role)), "")


def values_of(model: type[Answer], one: Any) -> dict[str, Any]:
    """The fields of an answer that an object has under the same names."""
    return {name: getattr(one, name) for name in model.model_fields if hasattr(one, name)}
