"""Who gets what of stations."""

from datetime import date
from uuid import UUID

from services.stations.domain.details import Details
from services.stations.domain.words import Donation
from services.stations.store import given
from services.stations.store import stations as store
from services.stations.store.live import SQL_ADD_PERIOD
from shared.kit import clock
from shared.kit.ids import new_id
from tests.doors.rights.lines import PUBLIC, RIDER, Line, Rights, to
from tests.doors.rights.world import GRID, World

MERCHANT = "m"
"""The person of a merchant's token, where the object is theirs."""


def details(code: str) -> Details:
    return Details(
        code=code, name="驿站", kind="hive", sponsor="", area_code=GRID, address="路 1 号", lng=120.3, lat=30.3,
        managing_unit="社区", responsible="王敏", phone="13800138000", duty_phone="0571-88886666", hours="24/7",
        open_on_holidays=False, services=("rest", "water"), parking_places=None, photos=(),
    )  # fmt: skip


async def station(world: World) -> UUID:
    """In the world's grid, kept by the world's merchant; its code stands before all others."""
    id_ = new_id()
    async with world.pool.acquire() as conn:
        await store.add(conn, [(id_, details(f"0-{id_.hex[-20:]}"))])
        await store.keep(conn, id_, MERCHANT, "某人", "op")
    return id_


async def feedback(world: World) -> UUID:
    """That waits for an answer."""
    id_, at = new_id(), await station(world)
    async with world.pool.acquire() as conn:
        now = clock.now()
        await given.give_feedback(conn, id_, at, new_id(), date(2026, 1, 1), 1, "门锁着", now)
    return id_


async def period(world: World) -> UUID:
    """A storm of the world's grid."""
    id_ = new_id()
    now = clock.now()
    await world.pool.execute(SQL_ADD_PERIOD, id_, "weather", True, [GRID], "暴雨", now, None, "op")
    return id_


async def donation(world: World) -> UUID:
    """Of a station of the world's."""
    new = Donation(new_id(), await station(world), "某公司", True, "饮用水", 50, "桶", date(2026, 5, 1), "谢谢", None)
    async with world.pool.acquire() as conn:
        await given.add_donation(conn, new, "op")
    return new.id


_BODY = {
    "name": "驿站", "kind": "hive", "area_code": GRID, "address": "路 1 号", "lng": 120.3, "lat": 30.3,
    "managing_unit": "社区", "hours": "24/7",
}  # fmt: skip
_OFFICE = to("area", "operator")
_KEEPER = {**to("area", "operator", "grid_worker"), **to("self", "merchant")}
_SAID = {"items": [{"code": "rest", "words": "歇脚"}], "version": 1, "year": 2026}
_DONATION = {
    "donor": "某公司", "goods": "饮用水", "quantity": 50, "unit": "桶", "given_on": "2026-05-01", "thanks": "谢谢",
}  # fmt: skip
_PERIOD = {
    "kind": "weather",
    "closes": True,
    "areas": [GRID],
    "reason": "暴雨",
    "begins_at": "2026-05-01T08:00:00+08:00",
}
_DAYS = {"first": "2026-01-01", "last": "2026-01-31", "limit": "500"}

RIGHTS = Rights(
    routes={
        "GET /stations": PUBLIC,
        "GET /v1/stations": PUBLIC,
        "GET /v1/stations/open-data.csv": PUBLIC,
        "GET /v1/stations/open-data.geojson": PUBLIC,
        "GET /v1/stations/taxonomy": PUBLIC,
        "GET /v1/stations/periods": PUBLIC,
        "GET /v1/stations/{station_id}": Line(public=True, needs="station"),
        "GET /v1/stations/{station_id}/history": PUBLIC,
        "GET /v1/stations/{station_id}/lists": PUBLIC,
        "GET /v1/stations/{station_id}/days": PUBLIC,
        "GET /v1/stations/{station_id}/donations": PUBLIC,
        "POST /v1/stations:nearest": Line(public=True, body={"lng": 120.3, "lat": 30.3}),
        "POST /v1/stations:along": Line(
            public=True, body={"way": [{"lng": 120.3, "lat": 30.3}, {"lng": 120.4, "lat": 30.3}]}
        ),
        "POST /v1/stations": Line(_OFFICE, body={**_BODY, "code": "a-station"}),
        "PUT /v1/stations:import": Line(to("any", "operator"), body={"format": "csv", "text": "code"}),
        "PUT /v1/stations/{station_id}": Line(_OFFICE, needs="station", body={**_BODY, "edition": 1}),
        "PUT /v1/stations/{station_id}/retirement": Line(_OFFICE, needs="station", body={"reason": "搬迁"}),
        "PUT /v1/stations/{station_id}/days": Line(
            _OFFICE, needs="station", body={"day": "2026-05-01", "hours": "", "reason": "盘点"}
        ),
        "PUT /v1/stations/{station_id}/lists": Line(_OFFICE, needs="station", body=_SAID),
        "POST /v1/stations/{station_id}/donations": Line(_OFFICE, needs="station", body=_DONATION),
        "PUT /v1/stations/donations/{donation_id}/withdrawal": Line(_OFFICE, needs="donation", body={"reason": "重复"}),
        "GET /v1/stations/{station_id}/office": Line(_KEEPER, needs="station"),
        "GET /v1/stations/{station_id}/office/history": Line(_KEEPER, needs="station"),
        "GET /v1/stations/{station_id}/keepers": Line(_OFFICE, needs="station"),
        "PUT /v1/stations/{station_id}/keepers/{person}": Line(_OFFICE, needs="station", body={"name": "李明"}),
        "DELETE /v1/stations/{station_id}/keepers/{person}": Line(_OFFICE, needs="station"),
        "GET /v1/stations/{station_id}/visit-code": Line(_KEEPER, needs="station"),
        "GET /v1/stations/{station_id}/visit-code.svg": Line(_KEEPER, needs="station"),
        "PUT /v1/stations/{station_id}/visit-code": Line(_KEEPER, needs="station", body={"epoch": 1}),
        "PUT /v1/stations/{station_id}/state": Line(_KEEPER, needs="station", body={"state": "full"}),
        "PUT /v1/stations/{station_id}/sighting": Line(RIDER.roles, needs="station", body={"found": "closed"}),
        "PUT /v1/stations/{station_id}/visit": Line(RIDER.roles, needs="station", body={"code": "AAAAAAAAAA"}),
        "POST /v1/stations/{station_id}/feedback": Line(RIDER.roles, needs="station", body={"stars": 5}),
        "GET /v1/stations/feedback/me": RIDER,
        "GET /v1/stations/feedback": Line(_KEEPER, needs="feedback", query={"limit": "500"}, shows=True),
        "PUT /v1/stations/feedback/{feedback_id}/answer": Line(_KEEPER, needs="feedback", body={"words": "已修好"}),
        "POST /v1/stations/periods": Line(_OFFICE, body=_PERIOD),
        "PUT /v1/stations/periods/{period_id}/end": Line(_OFFICE, needs="period"),
        "GET /v1/stations/figures/totals": Line(to("any", "operator"), query=_DAYS),
        "GET /v1/stations/figures": Line(_OFFICE, needs="station", query=_DAYS, shows=True),
    },
    objects={"station": station, "feedback": feedback, "period": period, "donation": donation},
)
