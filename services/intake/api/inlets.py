"""What the routes share: the service's own parts, built in app.py."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.intake.domain import Refusal, Submission
from services.intake.settings import Settings
from services.intake.usecases.photos import Photos
from services.intake.usecases.reports import Outcome
from shared.catalog import Catalogue
from shared.kit.batcher import Batcher
from shared.kit.http import ApiProblem, busy
from shared.kit.service import Service, current_service

_STATUS = {
    "company_suspended": 403,
    "unknown_company": 403,
    "rider_inactive": 403,
    "idempotency_conflict": 409,
    "event_known": 409,
}


@dataclass(frozen=True)
class Inlets:
    """Ways in: single reports share transactions, photos go through workers."""

    settings: Settings
    catalogue: Catalogue
    singles: Batcher[Submission, Outcome]
    photos: Photos


class Intake(Service):
    """The service with its inlets."""

    inlets: Inlets


def inlets(request: Request) -> Inlets:
    """The inlets of the running service."""
    service = current_service(request)
    assert isinstance(service, Intake), "app.py builds it"
    return service.inlets


CurrentService = Annotated[Service, Depends(current_service)]
CurrentInlets = Annotated[Inlets, Depends(inlets)]


def not_when_overloaded(service: Service) -> None:
    """Raises the 503 problem while Kafka takes nothing and events pile up."""
    if service.overloaded():
        raise busy("events wait for Kafka", retry_after_s=5)


def problem_of(refusal: Refusal) -> ApiProblem:
    """A refusal over HTTP."""
    extras = {} if refusal.field is None else {"field": refusal.field}
    return ApiProblem(_STATUS.get(refusal.code, 422), refusal.code, refusal.title, refusal.detail, extras)
