"""Rules of companies and riders: pure, no library, `now` is passed in."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.riders import problems
from shared.events.personal import number_mark
from shared.kit.refusals import Refusal
from shared.known.domain import company_refusal

CLOCK_TOLERANCE = timedelta(minutes=5)
RIDERS_PER_REQUEST_MAX = 1_000
OUTLETS_PER_REQUEST_MAX = 1_000
KEYS_ACTIVE_MAX = 5


@dataclass(frozen=True, slots=True)
class CompanyKey:
    """A signing key, sealed. A revoked key has no content any more."""

    key_id: UUID
    sealed: str
    active: bool
    created_at: datetime
    expires_at: datetime | None = None
    """When the service revokes it by itself; None: never."""


@dataclass(frozen=True, slots=True)
class Company:
    """A platform company. Suspended (`active` false): it may neither register nor report."""

    company_id: UUID
    code: str
    name: str
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Outlet:
    """A place of work of a company."""

    code: str
    name: str
    address: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class RiderFacts:
    """What a company says about a rider."""

    name: str
    kind: str
    outlet: str | None
    consent_at: datetime | None
    locale: str
    active: bool


@dataclass(frozen=True, slots=True)
class Rider:
    """A registered rider. version 0: the row was just made and has not been filled. Erased: nothing may come back."""

    rider_id: UUID
    company: str
    external_id: str
    facts: RiderFacts
    version: int
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """One company's word on one of its riders. `company` comes from signature or topic, never from the content."""

    company: str
    external_id: str
    facts: RiderFacts
    event_id: UUID | None = None
    """Of an event that came over HTTP; what Kafka brings was held against the inbox before."""
    event_content: bytes | None = None
    """What that event says: a hash, as the inbox has it."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes the rider unique."""
        return self.company, self.external_id


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a registration."""

    rider_id: UUID
    version: int
    changed: bool


def registration_refusal(registration: Registration, company: Company | None, now: datetime) -> Refusal | None:
    """Why a registration can't be taken; None: it can."""
    if (refusal := company_refusal(company.active if company is not None else None)) is not None:
        return refusal
    facts = registration.facts
    if "\x00" in facts.name or not facts.name.strip():
        return problems.INVALID_NAME("the name is blank or has a null character", field="name")
    if facts.consent_at is not None and facts.consent_at > now + CLOCK_TOLERANCE:
        return problems.CONSENT_IN_FUTURE("consent_at is in the future", field="consent_at")
    return None


def applied(rider: Rider, registration: Registration) -> Rider | Refusal:
    """The rider after a registration: the same object if nothing changed, else one version on."""
    if rider.erased_at is not None:
        return erased_before()
    if rider.version > 0 and rider.facts == registration.facts:
        return rider
    return replace(rider, facts=registration.facts, version=rider.version + 1)


def erased_before() -> Refusal:
    """Whoever left does not come back under the same number."""
    return problems.RIDER_ERASED("the rider had the data erased", field="external_id")


def erased(rider: Rider, now: datetime) -> Rider:
    """The rider without any personal data, no longer active. The same object if that was done before.

    In place of the company's number stands its mark, by which the number is recognised when it comes again.
    """
    if rider.erased_at is not None:
        return rider
    blank = replace(rider.facts, name="", consent_at=None, active=False, outlet=None)
    number = number_mark(rider.company, rider.external_id)
    return replace(rider, external_id=number, facts=blank, version=rider.version + 1, erased_at=now)
