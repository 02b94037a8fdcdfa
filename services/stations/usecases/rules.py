"""What use cases go by: the city's settings, its taxonomy and its areas."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.stations.domain.taxonomy import Taxonomy
from services.stations.settings import Settings
from services.stations.taxonomy_files import load
from shared.kit.areas import AreaTree


@dataclass(frozen=True, slots=True)
class Rules:
    """The city's own. `believed`: so many riders are taken at their word; `tree`: the areas as they are known now."""

    zone: ZoneInfo
    taxonomy: Taxonomy
    believed: int
    sighting: timedelta
    answer: timedelta
    visit_keys: tuple[bytes, ...]
    radius_m: int
    accuracy_m: int
    tree: Callable[[], AreaTree]

    @staticmethod
    def of(settings: Settings, tree: Callable[[], AreaTree]) -> "Rules":
        """As the settings say."""
        return Rules(
            zone=settings.city_zone,
            taxonomy=load(settings.taxonomy_path),
            believed=settings.sightings_believed,
            sighting=timedelta(hours=settings.sighting_hours),
            answer=timedelta(hours=settings.feedback_hours),
            visit_keys=settings.visit_keys(),
            radius_m=settings.visit_radius_m,
            accuracy_m=settings.visit_accuracy_m,
            tree=tree,
        )

    def day(self, at: datetime) -> date:
        """The city's day of an instant."""
        return at.astimezone(self.zone).date()

    def is_area(self, code: str) -> bool:
        """Whether a station may lie in it: any code, as long as no map is known."""
        tree = self.tree()
        return not tree.known or code in tree.areas
