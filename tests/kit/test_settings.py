"""Settings that can't be meant are refused at the start, with their names."""

import pytest
from pydantic import ValidationError

from shared.devtools.gen.settings_doc import settings_class
from shared.kit.settings import KitSettings
from shared.provision.services import service_names

NEEDED = {
    "postgres_dsn": "postgresql://a@localhost/b",
    "kafka_bootstrap": "localhost:9092",
    "kafka_username": "a",
    "kafka_password": "b",
    "redis_url": "redis://localhost",
    "jwks_url": "file:///tmp/jwks.json",
    "sealing_key": "c",
}


def test_a_city_has_its_own_zone() -> None:
    settings = KitSettings.model_validate({**NEEDED, "city_timezone": "Asia/Urumqi"})
    assert settings.city_zone.key == "Asia/Urumqi"


@pytest.mark.parametrize("name", ["Asia/Wuhan", "+08:00", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValidationError, match="is no IANA time zone"):
        KitSettings.model_validate({**NEEDED, "city_timezone": name})


@pytest.mark.parametrize("service", service_names())
def test_every_setting_says_what_it_does_and_takes_no_number_below_its_least(service: str) -> None:
    schema = settings_class(service).model_json_schema()["properties"]
    numbers = {name: one for name, one in schema.items() if one.get("type") in ("integer", "number")}
    assert numbers
    assert [name for name, one in schema.items() if not one.get("description")] == []
    assert [name for name, one in numbers.items() if not {"minimum", "exclusiveMinimum"} & one.keys()] == []
