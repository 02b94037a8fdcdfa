"""The page of all stations: a sketch and a table, made once for everybody until something changes. No script."""

import base64
import hashlib
from dataclasses import dataclass
from math import cos, radians
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.stations.domain.words import Station
from services.stations.index import Snapshot, StationIndex
from services.stations.settings import Settings
from services.stations.usecases.rules import Rules

Lang = Literal["zh", "en"]
TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (TEMPLATES / "stations.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CSP = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_TEMPLATES = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
_WORDS = {
    "open": ("开放", "open"), "full": ("满员", "full"), "closed": ("临时关闭", "closed for now"),
    "off_hours": ("非开放时间", "outside its hours"), "day_off": ("今日休息", "closed today"),
    "weather": ("天气原因关闭", "closed for the weather"), "retired": ("已停用", "given up"),
}  # fmt: skip
_LOOKS = {"open": "open", "full": "full", "closed": "storm", "weather": "storm"}
_KEY = (("open", "开放", "open"), ("full", "满员", "full"), ("shut", "未开放", "not open"), ("storm", "关闭", "closed"))
_WIDTH, _HEIGHT_MAX, _EDGE = 960, 720, 20


@dataclass(frozen=True, slots=True)
class Dot:
    """A station on the sketch."""

    code: str
    name: str
    state: str
    look: str
    special: bool
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Row:
    """A station in the table."""

    one: Station
    kind: str
    look: str
    services: str
    faults: str
    until: str


class StationsPage:
    """The page in each language, as of the newest snapshot."""

    def __init__(self, index: StationIndex, rules: Rules, settings: Settings) -> None:
        self._index = index
        self._rules = rules
        self._settings = settings
        self._made: dict[Lang, tuple[Snapshot, str]] = {}

    def html(self, lang: Lang) -> str:
        """The page."""
        snapshot = self._index.snapshot
        made = self._made.get(lang)
        if made is None or made[0] is not snapshot:
            made = self._made[lang] = snapshot, self._render(snapshot, lang)
        return made[1]

    def _render(self, snapshot: Snapshot, lang: Lang) -> str:
        english = lang == "en"
        dots, height = self._dots(snapshot)
        return _TEMPLATES.get_template("stations.html").render(
            lang=lang,
            style=_STYLE,
            t=lambda zh, en: en if english else zh,
            pick=lambda pair: pair[english],
            suffix="?lang=en" if english else "",
            city=self._settings.city_name_en if english else self._settings.city_name_zh,
            rows=[self._row(one, english=english) for one in snapshot.stations],
            open_now=sum(one.is_open for one in snapshot.stations),
            dots=dots,
            width=_WIDTH,
            height=height,
            words=_WORDS,
            key=_KEY,
        )

    def _row(self, one: Station, *, english: bool) -> Row:
        kind, known = self._rules.taxonomy.kinds.get(one.kind), self._rules.taxonomy.services

        def named(codes: tuple[str, ...]) -> str:
            words = [known[code] for code in codes if code in known]
            return ", ".join(word.en for word in words) if english else "、".join(word.zh for word in words)

        until = one.state_until
        return Row(
            one,
            one.kind if kind is None else (kind.en if english else kind.zh),
            _LOOKS.get(one.state, "shut"),
            named(one.services),
            named(one.faults),
            "" if until is None else until.astimezone(self._rules.zone).strftime("%m-%d %H:%M"),
        )

    def _dots(self, snapshot: Snapshot) -> tuple[list[Dot], int]:
        """Dots in the units of the picture, north up, and its height."""
        if not snapshot.stations:
            return [], _HEIGHT_MAX // 4
        west, north = float(snapshot.lng.min()), float(snapshot.lat.max())
        narrow = cos(radians(float(snapshot.lat.mean())))
        wide = max((float(snapshot.lng.max()) - west) * narrow, 1e-4)
        tall = max(north - float(snapshot.lat.min()), 1e-4)
        scale = min((_WIDTH - 2 * _EDGE) / wide, (_HEIGHT_MAX - 2 * _EDGE) / tall)
        special = self._rules.taxonomy.special
        dots = [
            Dot(
                one.code, one.name, one.state, _LOOKS.get(one.state, "shut"), not special.isdisjoint(one.services),
                round(_EDGE + (one.lng - west) * narrow * scale, 1), round(_EDGE + (north - one.lat) * scale, 1),
            )
            for one in snapshot.stations
        ]  # fmt: skip
        return dots, round(2 * _EDGE + tall * scale)
