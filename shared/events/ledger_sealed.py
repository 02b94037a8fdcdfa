"""The ledger of points was sealed."""

from datetime import date
from typing import Annotated

from pydantic import Field

from shared.events.common import Utc
from shared.events.personal import Impersonal
from shared.events.topic import Audience, EventModel, Facts, Topic

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Impersonal()]
"""SHA-256, in hexadecimal."""


class LedgerSealed(EventModel):
    """One root over all accounts, once a day. Whoever keeps these finds any later change of the ledger's history."""

    number: int = Field(ge=1)
    day: date = Field(description="of the city; one seal a day")
    accounts: int = Field(ge=0, description="accounts in it")
    entries: int = Field(ge=0, description="entries that are new since the seal before")
    root: Hash = Field(description="over the heads of all accounts, in hexadecimal")
    previous: Hash = Field(description="the seal before; zeros before the first")
    seal: Hash = Field(description="over number, the seal before and the root")
    sealed_at: Utc


LEDGER_SEALED = Topic(
    name="public.ledger-sealed.v1",
    model=LedgerSealed,
    key="day",
    producer="points",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="redemption",
    step=3,
    summary="The ledger of points is sealed: one root over all accounts.",
    partitions=1,
    kept=Facts(hours=24 * 366),
)
