"""The catalogue over HTTP: what a company or a city system may say, and what it may hear. It names nobody: public."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from fastapi import APIRouter, Response
from pydantic import BaseModel

from services.routing.api.map_in_force import MapInForce
from services.routing.domain import Area, AreaMap
from services.routing.usecases import catalogue as usecases
from services.routing.usecases import maps
from shared.catalog import Catalogue, Kind
from shared.catalog.problems import ProblemWords, problem_words
from shared.kit.auth import Public, allow, policy_router
from shared.kit.clock import now
from shared.kit.http.models import Answer
from shared.kit.http.paging import Asked, Page, PageAsked
from shared.kit.service import Given

router: APIRouter = policy_router(tags=["catalogue"])
List = Literal["kinds", "departments", "areas", "codes"]
T = TypeVar("T", bound="EntryOut")
FRESH = {"Cache-Control": "public, max-age=60"}


class EntryOut(Answer):
    """What every entry has."""

    code: str
    name_zh: str
    name_en: str


class KindOut(EntryOut):
    """A kind of report, by the rule in force. `limit_hours` runs in `clock`: emergency and calendar_days always,
    working_hours and working_days in working time."""

    group_zh: str
    group_en: str
    level: Literal["emergency", "hazard", "routine"]
    department: str
    limit_hours: int
    clock: str

    @classmethod
    def of(cls, kind: Kind) -> "KindOut":
        """As others see it."""
        facts = usecases.kind_facts(kind).model_dump()
        return cls(code=kind.code, name_zh=kind.name_zh, name_en=kind.name_en, **facts)


class DepartmentOut(EntryOut):
    """A department that kinds name. Who it is in an area is the city's matter."""

    @classmethod
    def of(cls, one: tuple[str, tuple[str, str]]) -> "DepartmentOut":
        """As others see it."""
        return cls(code=one[0], name_zh=one[1][0], name_en=one[1][1])


class CatalogueAreaOut(EntryOut):
    """An area of the map in force; it has one name. `fictional`: its borders are invented."""

    level: Literal["city", "district", "street", "community", "grid"]
    parent: str | None
    fictional: bool

    @classmethod
    def of(cls, area: Area) -> "CatalogueAreaOut":
        """As others see it."""
        return cls(
            code=area.code, name_zh=area.name, name_en="", level=area.level.value, parent=area.parent_code,
            fictional=area.fictional,
        )  # fmt: skip


class CodeOut(EntryOut):
    """A code of refusals. `status` null: only dead letters have it. `letters`: it may be the reason of one; then
    `same_number` and `same_id` say whether the record may come again, put right, under its number and its `ce_id`."""

    status: int | None
    next_zh: str
    next_en: str
    letters: bool
    same_number: bool
    same_id: bool

    @classmethod
    def of(cls, one: ProblemWords) -> "CodeOut":
        """As others see it."""
        facts = usecases.code_facts(one).model_dump()
        return cls(code=one.code, name_zh=one.title.zh, name_en=one.title.en, **facts)


@router.get("/v1/catalogue/kinds")
@allow(Public)
async def list_kinds(catalogue: Given[Catalogue], asked: Asked, response: Response) -> Page[KindOut]:
    """The kinds of report that may be filed now, by code."""
    response.headers.update(FRESH)
    return _page(asked, map(KindOut.of, catalogue.kinds(now())))  # process clock: a rule begins at midnight


@router.get("/v1/catalogue/departments")
@allow(Public)
async def list_departments(catalogue: Given[Catalogue], asked: Asked, response: Response) -> Page[DepartmentOut]:
    """The departments that kinds name, by code."""
    response.headers.update(FRESH)
    return _page(asked, map(DepartmentOut.of, catalogue.departments.items()))


@router.get("/v1/catalogue/areas")
@allow(Public)
async def list_catalogue_areas(areas: MapInForce, asked: Asked, response: Response) -> Page[CatalogueAreaOut]:
    """The areas of the map in force, by code."""
    response.headers.update(FRESH)
    found = maps.list_areas(areas, None, None, asked.after(str) or "", asked.rows)
    return asked.page(found, CatalogueAreaOut.of, lambda area: area.code)


@router.get("/v1/catalogue/codes")
@allow(Public)
async def list_codes(asked: Asked, response: Response) -> Page[CodeOut]:
    """The codes of refusals, by code: over HTTP, in results of batches, and of dead letters."""
    response.headers.update(FRESH)
    return _page(asked, map(CodeOut.of, problem_words().values()))


@router.get(
    "/v1/catalogue/{what}.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "UTF-8, with a header"}},
)
@allow(Public)
async def read_file(what: List, catalogue: Given[Catalogue], areas: MapInForce) -> Response:
    """One list, whole, as a file: the columns are the fields of the list's items."""
    return Response(_table(*_whole(what, catalogue, areas)), media_type="text/csv; charset=utf-8", headers=FRESH)


def _whole(what: List, catalogue: Catalogue, areas: AreaMap) -> tuple[type[BaseModel], Iterable[EntryOut]]:
    lists: Mapping[List, tuple[type[BaseModel], Callable[[], Iterable[EntryOut]]]] = {
        "kinds": (KindOut, lambda: map(KindOut.of, catalogue.kinds(now()))),  # process clock: as above
        "departments": (DepartmentOut, lambda: map(DepartmentOut.of, catalogue.departments.items())),
        "areas": (CatalogueAreaOut, lambda: map(CatalogueAreaOut.of, areas.areas.values())),
        "codes": (CodeOut, lambda: map(CodeOut.of, problem_words().values())),
    }
    model, read = lists[what]
    return model, sorted(read(), key=lambda one: one.code)


def _table(model: type[BaseModel], rows: Iterable[EntryOut]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(model.model_fields), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(one.model_dump(mode="json") for one in rows)
    return text.getvalue()


def _page(asked: PageAsked, entries: Iterable[T]) -> Page[T]:
    after = asked.after(str) or ""
    found: Sequence[T] = sorted((one for one in entries if one.code > after), key=lambda one: one.code)[: asked.rows]
    return asked.page(found, lambda one: one, lambda one: one.code)
