"""What every page says at its foot and how it shows times."""

from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from services.tracking.api import pages


@pytest.mark.parametrize(("lang", "words"), [("zh", "当地时间（Asia/Urumqi）"), ("en", "city (Asia/Urumqi)")])
def test_times_are_those_of_the_city(lang: str, words: str) -> None:
    settings = SimpleNamespace(
        city_name_zh="乌鲁木齐",
        city_name_en="Urumqi",
        boundaries_fictional=False,
        city_timezone="Asia/Urumqi",
        city_zone=ZoneInfo("Asia/Urumqi"),
    )
    page = pages._page("missing.html", lang, cast(Any, settings), "/", words=("没有", "nothing"))
    assert words in bytes(page.body).decode()
