"""Stations as files: in from an office, out to everybody."""

from fastapi import Response
from pydantic import Field

from services.stations import problems
from services.stations.files import Format
from services.stations.open_data import OpenData
from services.stations.usecases import keeping
from services.stations.usecases.rules import Rules
from shared.events.outside import Words
from shared.kit.auth import Caller, Operator, Public, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.service import CurrentService, Given

router = policy_router(tags=["stations"])
FILE_MAX, BODY_MAX = 1_000_000, 4_000_000
_HEADERS = {"Cache-Control": "max-age=30"}


class FileIn(Body):
    """A file of stations, whole: columns or properties as the open data has them, and `phone`, `datum`."""

    format: Format
    text: Words = Field(min_length=1, max_length=FILE_MAX)
    dry_run: bool = Field(False, description="only look for faults")


class TakenOut(Answer):
    """What the file did, or would do."""

    new: int
    changed: int
    unchanged: int
    dry_run: bool


@router.put("/v1/stations:import")
@allow(Operator, refuses=(problems.STATIONS_FAULTY, problems.STATION_CODE_TAKEN), body_max=BODY_MAX, writes=True)
async def import_stations(body: FileIn, caller: Caller, service: CurrentService, rules: Given[Rules]) -> TakenOut:
    """Make and change stations of the caller's areas by their codes, all or none: each faulty cell is named by line and
    column. The same file again changes nothing."""
    async with service.work() as work:
        done = await keeping.take_file(rules, work, body.text, body.format, caller.covers, dry_run=body.dry_run)
    return TakenOut(new=done.new, changed=done.changed, unchanged=done.unchanged, dry_run=body.dry_run)


@router.get(
    "/v1/stations/open-data.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "all stations"}},
)
@allow(Public)
async def read_csv(data: Given[OpenData]) -> Response:
    """All stations as open data: a table, UTF-8, WGS-84. The duty phone is the one on the door, no person's."""
    return Response(data.csv(), media_type="text/csv; charset=utf-8", headers=_HEADERS)


@router.get(
    "/v1/stations/open-data.geojson",
    response_class=Response,
    responses={200: {"content": {"application/geo+json": {"schema": {"type": "object"}}}, "description": "the same"}},
)
@allow(Public)
async def read_geojson(data: Given[OpenData]) -> Response:
    """All stations as open data: points on a map."""
    return Response(data.geojson(), media_type="application/geo+json", headers=_HEADERS)
