"""Who gets what of cases."""

from typing import Any
from uuid import UUID

from services.cases import usecases
from services.cases.usecases import Rules
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.kit.ids import new_id
from shared.kit.service import Service
from tests.doors.rights.lines import OFFICES, Line, Rights, to
from tests.doors.rights.world import GRID, World
from tests.support import event_of


def _step(state: str, area: str, own: bool = False, body: Any = None) -> Line:
    return Line(to("area", *area.split()) | (to("self", "rider") if own else {}), needs=f"case {state}", body=body)


async def case(world: World, state: str) -> UUID:
    await world.pool.execute("DELETE FROM cases")
    report_id = new_id()
    body = ReportRouted.model_validate({**world.facts(report_id), "outcome": "routed", "grid_code": GRID})
    async with world.service.work() as work:
        rules = Rules.of(world.service.settings)  # type: ignore[arg-type]  # the cases service has its own
        await usecases.take_routed_reports(rules, work, [event_of(REPORT_ROUTED, body)])
    live = state not in ("closed", "invalid")
    case_id: UUID = await world.pool.fetchval("UPDATE cases SET state = $1, live = $2 RETURNING case_id", state, live)
    return case_id


def prepare(service: Service) -> None:
    """Its cases leave with it: other tests count theirs."""

    async def emptied() -> None:
        await service.pool.execute("DELETE FROM cases")
        await service.pool.execute("DELETE FROM case_reports")

    service.on_stop(emptied)


RIGHTS = Rights(
    routes={
        "GET /v1/cases": Line(to("area", *OFFICES), needs="case open", query={"limit": "500"}, shows=True),
        "GET /v1/cases/{case_id}": Line(to("area", *OFFICES) | to("self", "rider"), needs="case open"),
        "GET /v1/cases/{case_id}/words": Line(to("area", *OFFICES), needs="case open"),
        "POST /v1/cases:transition": Line(
            to("area", "dispatcher", "verifier", "operator"), needs="case verified",
            body={"items": [{"case_id": "{object}", "step": "close"}]}, shows=True,
        ),
        "POST /v1/cases/{case_id}/claim": _step("open", "grid_worker department"),
        "POST /v1/cases/{case_id}/request-info": _step("claimed", "grid_worker department dispatcher"),
        "POST /v1/cases/{case_id}/give-info": _step("needs_info", "dispatcher", own=True),
        "POST /v1/cases/{case_id}/handle": _step("claimed", "grid_worker department"),
        "POST /v1/cases/{case_id}/verify": _step("handled", "verifier dispatcher"),
        "POST /v1/cases/{case_id}/rework": _step("handled", "verifier dispatcher"),
        "POST /v1/cases/{case_id}/close": _step("verified", "dispatcher verifier operator"),
        "POST /v1/cases/{case_id}/invalidate": _step("open", "dispatcher operator"),
        "POST /v1/cases/{case_id}/return": _step("open", "grid_worker department"),
        "POST /v1/cases/{case_id}/redispatch": _step("returned", "dispatcher operator", body={"grid_code": GRID}),
        "POST /v1/cases/{case_id}/reopen": _step("closed", "", own=True),
    },
    objects={"case": case},
    prepare=prepare,
)  # fmt: skip
