"""Registrations: what changes a rider, what doesn't, what is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.riders import domain
from services.riders.domain import Company, Registration, Rider, RiderFacts
from shared.kit.refusals import Refusal

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
FACTS = RiderFacts("王小哥", "courier", "o1", NOW - timedelta(days=1), "zh", active=True)
ONE = Registration("sf-express", "r1", FACTS)
NEW = Rider(UUID(int=1), "sf-express", "r1", replace(FACTS, name=""), version=0)
COMPANY = Company(UUID(int=2), "sf-express", "顺丰", active=True, version=1)


def applied(rider: Rider, one: Registration) -> Rider:
    after = domain.applied(rider, one)
    assert isinstance(after, Rider)
    return after


def test_a_new_rider_starts_at_version_1_even_with_blank_facts() -> None:
    first = applied(NEW, ONE)
    assert (first.version, first.facts) == (1, FACTS)
    assert applied(replace(NEW, facts=FACTS), ONE).version == 1


def test_the_same_again_changes_nothing_and_anything_else_does() -> None:
    first = applied(NEW, ONE)
    assert applied(first, ONE) is first
    for other in (
        replace(FACTS, name="李小哥"),
        replace(FACTS, consent_at=None),
        replace(FACTS, active=False),
        replace(FACTS, outlet=None),
        replace(FACTS, locale="en"),
        replace(FACTS, kind="truck"),
    ):
        assert applied(first, replace(ONE, facts=other)).version == 2


def test_an_erased_rider_never_comes_back() -> None:
    gone = domain.erased(applied(NEW, ONE), NOW)
    assert gone.version == 2 and gone.facts.name == "" and not gone.facts.active and gone.facts.consent_at is None
    assert domain.erased(gone, NOW) is gone
    refused = domain.applied(gone, ONE)
    assert isinstance(refused, Refusal) and refused.code == "rider_erased"


def test_refusals() -> None:
    def code(one: Registration, company: Company | None = COMPANY) -> str | None:
        refusal = domain.registration_refusal(one, company, NOW)
        return refusal.code if refusal else None

    assert code(ONE) is None
    assert code(ONE, None) == "unknown_company"
    assert code(ONE, replace(COMPANY, active=False)) == "company_suspended"
    assert code(replace(ONE, facts=replace(FACTS, name="a\x00"))) == "invalid_name"
    assert code(replace(ONE, facts=replace(FACTS, name="  "))) == "invalid_name"
    assert code(replace(ONE, facts=replace(FACTS, consent_at=NOW + timedelta(hours=1)))) == "consent_in_future"
