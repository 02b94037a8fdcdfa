"""Who knows riders or companies, and that all of them do so by the one projection."""

from pathlib import Path

import pytest

from shared.devtools.gen.openapi import service_of
from shared.events.company_changed import COMPANY_CHANGED
from shared.events.rider_changed import RIDER_CHANGED
from shared.events.rider_erased import RIDER_ERASED
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known import riders as rider_store
from shared.known.knowing import Riders, knows
from shared.known.tables import columns_known, migration_folders, tables_known
from shared.provision.services import service_names

SEALER = Sealer("a" * 43 + "=")


@pytest.mark.parametrize("name", RIDER_CHANGED.consumers)
def test_whoever_hears_of_riders_forgets_them(name: str) -> None:
    service = service_of(name)
    assert rider_store.forget in service.forgets and RIDER_ERASED.name in service.consumers


@pytest.mark.parametrize("name", COMPANY_CHANGED.consumers)
def test_whoever_hears_of_companies_takes_their_signatures(name: str) -> None:
    service = service_of(name)
    assert service.key_ring is not None and COMPANY_CHANGED.name in service.consumers


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("intake", ["known_companies", "known_riders"]),
        ("tracking", ["known_companies"]),
        ("points", ["known_riders"]),
        ("cases", []),
        ("riders", []),
    ],
)
def test_the_topics_say_whose_schema_has_which_tables(name: str, tables: list[str]) -> None:
    assert [one.name for one in tables_known(name)] == tables == list(columns_known(name))
    own, kit = Path("services", name, "migrations"), Path("shared", "kit", "migrations")
    known = [Path("shared/known/migrations", table.removeprefix("known_")) for table in tables]
    root = Path(__file__).parents[2]
    assert [folder.relative_to(root) for folder in migration_folders(name)] == [kit, *known, own]


@pytest.mark.parametrize("name", service_names())
def test_a_service_waits_for_all_migrations_of_its_schema(name: str) -> None:
    assert sorted(service_of(name).migrations) == sorted(migration_folders(name))


def test_nobody_knows_whom_no_topic_names() -> None:
    service = Service("cases", service_of("cases").settings, title="cases")
    with pytest.raises(ValueError, match="doesn't declare cases"):
        knows(service, riders=Riders())
    with pytest.raises(ValueError, match="doesn't declare cases"):
        knows(service, companies=SEALER)


def test_whoever_knows_riders_has_to_hear_of_erasures() -> None:
    service = Service("riders", service_of("riders").settings, title="riders")
    with pytest.raises(ValueError, match="rider-erased"):
        knows(service, riders=Riders())
