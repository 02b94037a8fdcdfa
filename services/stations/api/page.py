"""The page of all stations, for people."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

from services.stations.page import CSP, Lang, StationsPage
from shared.kit.auth import Public, allow, policy_router
from shared.kit.service import Given

router = policy_router(tags=["pages"])


@router.get("/stations", response_class=HTMLResponse, include_in_schema=False)
@allow(Public)
async def stations_page(
    page: Given[StationsPage], lang: Annotated[Lang, Query(description="language of the page")] = "zh"
) -> HTMLResponse:
    """All stations on a sketch and in a table, with what is so there now."""
    return HTMLResponse(page.html(lang), headers={"Content-Security-Policy": CSP, "Cache-Control": "max-age=30"})
