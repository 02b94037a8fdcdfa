"""A rider and a company as other services know them, and why they may not act. Pure: standard library and problems."""

from dataclasses import dataclass
from uuid import UUID

from shared.kit import problems
from shared.kit.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Rider:
    """A rider. `number`: the company's own, of an erased rider its mark, None where the service keeps none.

    An erased rider may do nothing; `company` is "" where only the list of erased riders knows them.
    """

    rider_id: UUID
    company: str
    number: str | None
    consent: bool
    active: bool
    erased: bool = False


def company_refusal(active: bool | None) -> Refusal | None:
    """Why a company may not act; None: it may. `active` None: it is not known."""
    if active is None:
        return problems.UNKNOWN_COMPANY("the company is not registered")
    return None if active else problems.company_suspended()


def rider_refusal(rider: Rider | None) -> Refusal | None:
    """Why a rider may not act; None: they may. `rider` None: they are not known."""
    if rider is None:
        return problems.unknown_rider()
    if rider.erased:
        return problems.RIDER_ERASED("the rider had the data erased", field="rider")
    return None if rider.active else problems.rider_inactive()
