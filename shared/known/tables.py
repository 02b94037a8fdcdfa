"""Whose schema has which of these tables, how long they keep their rows, and what of them is about a person.

The topics' declarations say who knows whom, so migrations, checks and documents ask nobody else.
"""

from collections.abc import Iterator
from pathlib import Path

from shared.events.company_changed import COMPANY_CHANGED
from shared.events.rider_changed import RIDER_CHANGED
from shared.kit.postgres.retention import Table, Way
from shared.kit.postgres.schema import KIT_MIGRATIONS, own_migrations
from shared.kit.privacy.data_map import RIDER_ID, About, Columns, plain

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
COMPANY_MIGRATIONS, RIDER_MIGRATIONS = _MIGRATIONS / "companies", _MIGRATIONS / "riders"
COMPANIES = Table(
    "known_companies", "what is known of a company", Way.BOUNDED, "as the company",
    "whose signatures are good, and who is notified",
)  # fmt: skip
RIDERS = Table(
    "known_riders",
    "what is known of a rider",
    Way.BOUNDED,
    "as the rider's account",
    "who may act, and in which language",
)
COMPANY_COLUMNS: Columns = {"known_companies": plain("code keys")}
RIDER_COLUMNS: Columns = {
    "known_riders": {
        **plain("company locale"),
        "rider_id": RIDER_ID,
        "number": About("number", "the company names its rider by it; kept by intake alone", "the service", "deleted"),
    }
}


def knows_companies(service: str) -> bool:
    """Whether the topic of companies names the service."""
    return service in COMPANY_CHANGED.consumers


def knows_riders(service: str) -> bool:
    """Whether the topic of riders names the service."""
    return service in RIDER_CHANGED.consumers


def tables_known(service: str) -> tuple[Table, ...]:
    """Those of these tables that the service's schema has."""
    return (COMPANIES,) * knows_companies(service) + (RIDERS,) * knows_riders(service)


def columns_known(service: str) -> Columns:
    """What they hold of people."""
    return {**(COMPANY_COLUMNS if knows_companies(service) else {}), **(RIDER_COLUMNS if knows_riders(service) else {})}


def migration_folders(service: str) -> list[Path]:
    """Folders of the migrations that make up the service's schema: the kit's, these, its own where it has any."""
    return [folder for folder in _folders(service) if folder.is_dir()]


def _folders(service: str) -> Iterator[Path]:
    yield KIT_MIGRATIONS
    if knows_companies(service):
        yield COMPANY_MIGRATIONS
    if knows_riders(service):
        yield RIDER_MIGRATIONS
    yield own_migrations(service)
