"""Pages for people: Chinese first, `?lang=en` for English; no script, nothing from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Path as PathPart
from fastapi import Query
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.tracking import domain, usecases
from services.tracking.domain import SHOWN_ROLES, STATES, Links
from services.tracking.settings import Settings
from services.tracking.store.figures import Count
from services.tracking.usecases import Overview
from shared.catalog import Catalogue
from shared.catalog.problems import problem_words
from shared.events.outside import Code
from shared.kit.auth import Public, allow, policy_router
from shared.kit.clock import now
from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.service import CurrentService, Given

router = policy_router(tags=["pages"])
Lang = Annotated[Literal["zh", "en"], Query(description="language of the page")]
TEMPLATES = Path(__file__).parents[1] / "templates"
_STYLE = (TEMPLATES / "style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Only the one style sheet of the page itself, known by its hash; no script at all.
_CSP = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_TEMPLATES = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
@allow(Public)
async def landing(shared: Given[SharedAnswer[Overview]], settings: Given[Settings], lang: Lang = "zh") -> HTMLResponse:
    """What the suite is and how much went through it."""
    overview = await shared.get()
    return _page("landing.html", lang, settings, "/", progress=overview.progress, by_state=overview.cases.by_state)


@router.get("/city", response_class=HTMLResponse, include_in_schema=False)
@allow(Public)
async def city(
    shared: Given[SharedAnswer[Overview]],
    settings: Given[Settings],
    catalogue: Given[Catalogue],
    lang: Lang = "zh",
) -> HTMLResponse:
    """The city's cases at a glance, without any rider."""
    overview = await shared.get()
    cases = overview.cases
    states = [Count(name, cases.by_state.get(name, 0)) for name in STATES if name not in _BEFORE_A_CASE]
    return _page(
        "city.html",
        lang,
        settings,
        "/city",
        progress=overview.progress,
        states=_bars(states),
        state_names=STATES,
        kinds=_bars([Count(_kind_name(catalogue, one.name, lang), one.number) for one in cases.by_kind]),
        streets=_bars([Count(one.name or _NO_AREA[lang == "en"], one.number) for one in cases.by_street]),
        by_street=all(_STREET_CODE.fullmatch(one.name) for one in cases.by_street),
        latest=[(case, _kind_name(catalogue, case.kind, lang), STATES[case.state]) for case in overview.latest],
    )


@router.get("/r/{token}", response_class=HTMLResponse, include_in_schema=False)
@allow(Public)
async def report(
    token: Annotated[Code, PathPart(max_length=128)],
    service: CurrentService,
    settings: Given[Settings],
    catalogue: Given[Catalogue],
    links: Given[Links],
    lang: Lang = "zh",
) -> HTMLResponse:
    """One report's way, for whoever holds its link."""
    journey = None
    if report_id := domain.report_of(links.keys, token):
        async with service.reading() as conn:  # whoever guesses at links takes no connection
            journey = await usecases.read_journey(conn, report_id)
    if journey is None:
        return _page("missing.html", lang, settings, f"/r/{token}" if report_id else "/", status=404, words=_NO_REPORT)
    at = now()  # process clock: shown only
    return _page(
        "report.html",
        lang,
        settings,
        f"/r/{token}",
        journey=journey,
        kind=_kind_name(catalogue, journey.report.kind, lang),
        state=STATES[journey.state],
        steps=domain.timeline(journey),
        roles=SHOWN_ROLES,
        old=journey.report.at - journey.report.seen_at > _REPORTED_SOON,
        overdue=journey.case is not None and journey.state in _AT_WORK and journey.case.due_at < at,
    )


@router.get("/problems/{code}", response_class=HTMLResponse, include_in_schema=False)
@allow(Public)
async def problem(
    code: Annotated[Code, PathPart(max_length=64)], settings: Given[Settings], lang: Lang = "zh"
) -> HTMLResponse:
    """What a problem's code means, at the address that the problem has as its `type`."""
    found = problem_words().get(code)
    if found is None:
        return _page("missing.html", lang, settings, "/", status=404, words=_NO_PROBLEM)
    return _page("problem.html", lang, settings, f"/problems/{found.code}", problem=found)


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
@router.get("/docs/", response_class=HTMLResponse, include_in_schema=False)
@allow(Public)
async def documents(settings: Given[Settings], lang: Lang = "zh") -> HTMLResponse:
    """What an integrator reads: the documents as pages and files, and the lists of the catalogue."""
    return _page("integrating.html", lang, settings, "/docs", lists=_LISTS)


@router.get("/docs/{name}", include_in_schema=False, response_class=Response)
@allow(Public)
async def document(
    name: Literal["openapi", "asyncapi", "openapi.json", "asyncapi.yaml"], settings: Given[Settings], lang: Lang = "zh"
) -> Response:
    """OpenAPI and AsyncAPI: each as a page, and as the document itself."""
    if (kind := _FILES.get(name)) is not None:
        return FileResponse(_DOCUMENTS / name, media_type=kind)
    content = (_DOCUMENTS / f"{name}.html").read_text("utf-8")
    return _page("docs.html", lang, settings, f"/docs/{name}", title=name, content=content)


_DOCUMENTS = Path(__file__).parents[1] / "data/docs"
_FILES = {"openapi.json": "application/json", "asyncapi.yaml": "application/yaml"}
_LISTS = (
    ("kinds", "类别", "Kinds of report"),
    ("departments", "部门", "Departments"),
    ("areas", "辖区和网格", "Areas and grids"),
    ("codes", "问题代码", "Codes of refusals"),
)
_NO_REPORT = (
    "链接无效，或者上报刚刚提交、还在路上：请稍后再试。",
    "The link is not valid, or the report is so new that it is still on its way: try again in a moment.",
)
_NO_PROBLEM = (
    "没有这个问题代码：请核对地址中的代码与响应中的 code 是否一致。",
    "There is no such problem code: compare the address with the code in the answer.",
)
_NO_AREA = ("无上级辖区", "no area above")
_STREET_CODE = re.compile(r"\d{9}")
_BEFORE_A_CASE = frozenset({"received", "routed", "unroutable"})
# A report that comes much later than it was seen was brought in from a file or kept by a phone without a network.
_REPORTED_SOON = timedelta(minutes=10)
_AT_WORK = frozenset({"open", "claimed", "needs_info", "returned"})


@dataclass(frozen=True, slots=True)
class Bar:
    """A number with the length of its bar: percent of the longest one."""

    name: str
    number: int
    percent: float


def _bars(counts: Sequence[Count]) -> list[Bar]:
    longest = max((one.number for one in counts), default=0) or 1
    return [Bar(one.name, one.number, round(100 * one.number / longest, 1)) for one in counts]


def _kind_name(catalogue: Catalogue, code: str, lang: str) -> str:
    kind = catalogue.kind(code, now())  # process clock: a name on a page
    if kind is None:
        return code
    return kind.name_en if lang == "en" else kind.name_zh


def _page(template: str, lang: str, settings: Settings, path: str, status: int = 200, **values: object) -> HTMLResponse:
    def text(zh: str, en: str) -> str:
        return en if lang == "en" else zh

    common: Mapping[str, object] = {
        "lang": lang,
        "style": _STYLE,
        "t": text,
        "pick": lambda pair: text(*pair),
        "at": lambda at: at.astimezone(settings.city_zone).strftime("%Y-%m-%d %H:%M:%S"),
        "zone": settings.city_timezone,
        "path": path,
        "suffix": "?lang=en" if lang == "en" else "",
        "city": text(settings.city_name_zh, settings.city_name_en),
        "fictional": settings.boundaries_fictional,
    }
    body = _TEMPLATES.get_template(template).render({**common, **values})
    return HTMLResponse(body, status, {"Content-Security-Policy": _CSP})
