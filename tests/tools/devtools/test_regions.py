"""Generated parts of files that people write, and the services that they are made from."""

from pathlib import Path

import pytest

from shared.devtools.gen import deployment
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.regions import NoRegion, filled
from shared.provision.services import forgetting, in_place, service_names

TEXT = "a\n  # >>> list: made\n  old\n  # <<< list\nb\n"


def test_what_is_between_the_marks_is_replaced_and_nothing_else() -> None:
    once = filled(TEXT, {"list": "x:\n  y\n\nz\n"}, "f")
    assert once == "a\n  # >>> list: made\n  x:\n    y\n\n  z\n  # <<< list\nb\n"
    assert filled(once, {"list": "x:\n  y\n\nz\n"}, "f") == once
    assert filled(once, {"list": ""}, "f") == "a\n  # >>> list: made\n  # <<< list\nb\n"


def test_two_regions_are_kept_apart() -> None:
    both = f"{TEXT}\t# >>> lists\n\t# <<< lists\n"
    assert filled(both, {"lists": "n\n", "list": "m\n"}, "f") == (
        "a\n  # >>> list: made\n  m\n  # <<< list\nb\n\t# >>> lists\n\tn\n\t# <<< lists\n"
    )


@pytest.mark.parametrize("text", ["nothing\n", TEXT + TEXT, TEXT.replace("<<<", "..")])
def test_a_region_that_is_not_there_once_is_an_error(text: str) -> None:
    with pytest.raises(NoRegion, match=r"f: . regions `>>> list`"):
        filled(text, {"list": "x\n"}, "f")


def test_a_folder_with_a_declaration_is_a_service(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "services" / name).mkdir(parents=True)
        (tmp_path / "services" / name / "about.py").touch()
    (tmp_path / "services" / "draft").mkdir()
    assert service_names(tmp_path) == ["a", "b"]
    assert sorted(in_place()) == service_names()
    assert set(forgetting()) <= set(service_names())


def test_containers_get_what_their_service_declares() -> None:
    assert "BEEGRID_SEALING_KEY: ${SEALING_KEY:?run make env}" in deployment.container("riders")
    assert "SEALING_KEY" not in deployment.container("cases")
    assert "memory: 768m" in deployment.container("intake")
    assert "AWS_SECRET_ACCESS_KEY" in deployment.container("intake")
    assert "BEEGRID_CITY_NAME_EN: ${BEEGRID_CITY_NAME_EN:-Demo city}" in deployment.container("tracking")
    assert all(f"\t@{name} path " in (ROOT / "Caddyfile").read_text("utf-8") for name in service_names())
