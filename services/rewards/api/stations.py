"""What stations have of offers for the whole city: operators set it, everybody with a token reads it."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.rewards import problems
from services.rewards.api.parameters import FIRST_ID
from services.rewards.store import offers, stations
from services.rewards.usecases.redemptions import say_stock
from shared.kit.auth import CityOperator, Person, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Reading

router = policy_router(tags=["offers"])


class StationIn(Body):
    """What a station has had in all. `version` as it was read; 0: it has had none."""

    stock: Annotated[int, Field(ge=0, le=1_000_000)]
    version: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class StationOut(Answer):
    """A station: there + sold = stock."""

    merchant_id: UUID
    name: str
    address: str
    version: int
    stock: int
    there: int
    sold: int


@router.get("/v1/offers/{offer_id}/stations")
@allow(Person)
async def list_stations(offer_id: UUID, conn: Reading, asked: Asked) -> Page[StationOut]:
    """Where a voucher of the offer is good, and how many pieces are there; by id."""
    found = await stations.stations(conn, offer_id, asked.after(UUID) or FIRST_ID, asked.rows)
    return asked.page(found, StationOut.model_validate, lambda station: station.merchant_id)


@router.put("/v1/offers/{offer_id}/stations/{merchant_id}", status_code=204)
@allow(CityOperator, refuses=(NOT_FOUND, problems.STATION_MOVED_ON), writes=True)
async def set_station(offer_id: UUID, merchant_id: UUID, body: StationIn, service: CurrentService) -> None:
    """Set what a station has had in all: the offer has as many more or fewer."""
    async with service.work() as work:
        if await offers.offer(work.conn, offer_id) is None:
            raise not_found("offer")
        if not await stations.set_stock(work.conn, offer_id, merchant_id, body.stock, body.version):
            raise problems.STATION_MOVED_ON()
        say_stock(work, await offers.say(work.conn, [offer_id]))
