"""The kinds of report as data: what a city may change without changing code."""

from shared.catalog.kinds import Clock, Kind, Level
from shared.catalog.loader import Catalogue, CatalogueError

__all__ = ["Catalogue", "CatalogueError", "Clock", "Kind", "Level"]
