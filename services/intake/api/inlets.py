"""What the routes share: the service's own parts, built in app.py."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.intake.domain import Submission
from services.intake.settings import Settings
from services.intake.usecases.photos import Photos
from services.intake.usecases.reports import Outcome
from shared.catalog import Catalogue
from shared.kit.batcher import Batcher
from shared.kit.service import Service, current_service


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
