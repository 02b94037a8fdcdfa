"""The ledger of points was sealed."""

from datetime import date

from pydantic import Field

from shared.events.common import Utc
from shared.events.topic import Audience, EventModel, Facts, Topic

HASH = r"^[0-9a-f]{64}$"


class LedgerSealed(EventModel):
    """One root over all accounts, once a day. Whoever keeps these finds any later change of the ledger's history."""

    number: int = Field(ge=1)
    day: date = Field(description="of the city; one seal a day")
    accounts: int = Field(ge=0, description="accounts in it")
    entries: int = Field(ge=0, description="entries that are new since the seal before")
    root: str = Field(pattern=HASH, description="over the heads of all accounts, in hexadecimal")
    previous: str = Field(pattern=HASH, description="the seal before; zeros before the first")
    seal: str = Field(pattern=HASH, description="over number, the seal before and the root")
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
