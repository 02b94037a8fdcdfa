"""Kinds of stations, and services by programmes' schemes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of station. `colour`: of its sign, `#rrggbb`."""

    code: str
    zh: str
    en: str
    programme: str
    colour: str


@dataclass(frozen=True, slots=True)
class Service:
    """Something that a station offers. One service may stand in several schemes: a line each, the same words.

    `special`: what only some stations have. `begins_on`, `ends_on` (not in it any more): when it is offered to be
    chosen; what stations have is shown by its name all the same.
    """

    code: str
    zh: str
    en: str
    scheme: str
    group: str
    group_zh: str
    group_en: str
    special: bool
    begins_on: date | None
    ends_on: date | None

    def is_offered(self, on: date) -> bool:
        """Whether offices may choose it that day."""
        return (self.begins_on is None or self.begins_on <= on) and (self.ends_on is None or on < self.ends_on)


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Kinds and services by code; `lines` is the file of services as it stands."""

    kinds: Mapping[str, Kind]
    services: Mapping[str, Service]
    lines: tuple[Service, ...]

    @property
    def special(self) -> frozenset[str]:
        """The codes of special services."""
        return frozenset(one.code for one in self.lines if one.special)
