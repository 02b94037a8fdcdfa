"""Conflicts are declared where there can be one."""

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import document
from shared.provision.services import service_names


@pytest.mark.parametrize("service", service_names(ROOT))
def test_a_read_conflicts_with_nothing(service: str) -> None:
    described = document(service)
    assert described is not None
    operations = [(f"{m} {path}", one) for path, ways in described["paths"].items() for m, one in ways.items()]
    reads = [(name, one["responses"]) for name, one in operations if name.startswith(("get ", "head "))]
    assert len(reads) > 3
    assert [name for name, answers in reads if "409" in answers] == []


@pytest.mark.parametrize("service", service_names(ROOT))
def test_a_signed_request_that_changes_something_may_conflict_with_another(service: str) -> None:
    described = document(service)
    assert described is not None
    signed = [
        (f"{method} {path}", one["responses"])
        for path, ways in described["paths"].items()
        for method, one in ways.items()
        if any("companySignature" in way for way in one["security"]) and method not in ("get", "head")
    ]
    assert [name for name, answers in signed if "409" not in answers] == []
