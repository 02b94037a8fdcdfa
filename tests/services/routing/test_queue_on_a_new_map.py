"""A new map: whoever has the ground now sees and assigns what waits there for a person."""

from typing import Any

import pytest

from services.routing.usecases import reports
from services.routing.usecases.current_map import CurrentMap
from shared.events.report_received import ReportReceived
from shared.kit.areas.carrying import ByArea, carry_all
from shared.synthetic.city import Area
from tests.services.routing.conftest import Routing, box, event, report

OLD, NEW, OTHER = ("330103001001001", "330105009001001", "330105009001002")
QUEUE = "/v1/routing/unroutable"


def gas_smell(lng: float) -> ReportReceived:
    """Its place is too vague for the map."""
    return report(lng, 30.305, None, "local-gas-smell").model_copy(update={"level": "emergency"})


async def handle(routing: Routing, *bodies: ReportReceived) -> None:
    async with routing.service.work() as work:
        await reports.route_reports(routing.router(), work, [event(body) for body in bodies])


async def waiting_for(routing: Routing, *areas: str) -> set[str]:
    found = await routing.call("GET", QUEUE, roles=["dispatcher"], areas=areas)
    return {item["report_id"] for item in found["items"]}


async def switch(routing: Routing, areas: list[Area], **how: Any) -> None:
    version = await routing.draft()
    await routing.upload(version, areas)
    await routing.activate(version, **how)


FULL = [
    {"old_code": old, "new_code": new}
    for old, new in (
        ("330103", "330105"), ("330103001", "330105009"), ("330103001001", "330105009001"), (OLD, NEW)
    )
]  # fmt: skip


@pytest.mark.parametrize("how", [{"mapping": FULL}, {"accept": True}], ids=["mapped", "accepted"])
async def test_the_new_office_sees_and_assigns_an_emergency(routing: Routing, how: dict[str, Any]) -> None:
    await routing.put_in_force([box(OLD, 120.50, 30.3)])
    body = gas_smell(120.505)
    await handle(routing, body)
    counted = await routing.call("POST", "/ops/routing/areas/dependents", {"codes": [OLD, NEW]})
    assert counted["dependents"] == {"waiting reports": {OLD: 1}}
    assert await waiting_for(routing, "330105") == set()
    await switch(routing, [box(NEW, 120.50, 30.3)], **how)
    assert await waiting_for(routing, "330105") == {str(body.report_id)}
    assert await routing.service.pool.fetchval("SELECT near FROM unroutable") == NEW
    assert await waiting_for(routing, "330106") == set()
    path = f"{QUEUE}/{body.report_id}/assign"
    assigned = await routing.call("POST", path, {"grid_code": NEW}, roles=["dispatcher"], areas=["330105"])
    assert (assigned["outcome"], assigned["grid_code"]) == ("routed", NEW)


async def test_what_waits_goes_to_the_nearest_grid_batch_by_batch(
    routing: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "CARRIED_AT_ONCE", 2)
    await routing.put_in_force([box(OLD, 120.50, 30.3, 0.02)])
    west, east = [gas_smell(120.505) for _ in range(3)], [gas_smell(120.515) for _ in range(3)]
    await handle(routing, *west, *east)
    divided = [{"old_code": OLD, "new_code": code} for code in (NEW, OTHER)]
    await switch(routing, [box(NEW, 120.50, 30.3), box(OTHER, 120.51, 30.3)], mapping=divided, accept=True)
    rows = await routing.service.pool.fetch("SELECT report_id, near FROM unroutable")
    assert {row["report_id"]: row["near"] for row in rows} == {
        **{body.report_id: NEW for body in west}, **{body.report_id: OTHER for body in east}
    }  # fmt: skip


async def test_what_another_process_still_put_near_an_old_grid_is_found_later(routing: Routing) -> None:
    await routing.put_in_force([box(OLD, 120.50, 30.3)])
    behind = CurrentMap(routing.service.pool_of)
    await behind.refresh()
    await switch(routing, [box(NEW, 120.50, 30.3)], accept=True)
    async with routing.service.work() as work:
        router = reports.Router(behind.value, routing.router().catalogue)
        await reports.route_reports(router, work, [event(gas_smell(120.505))])
    assert routing.service.tree.vanished, "what the carrying waits for"
    # by the old map it would stay where it is, and be found again for ever
    async with routing.service.work() as work:
        assert await reports.carry_queue(behind, work) == 0
    by_area = routing.service.by_area
    assert isinstance(by_area, ByArea) and await carry_all(by_area, routing.service.work) == 1
    assert await routing.service.pool.fetchval("SELECT near FROM unroutable") == NEW
