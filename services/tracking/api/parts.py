"""What this service's routes need beside the kit's service."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from services.tracking.settings import Settings
from services.tracking.usecases import Overview
from shared.catalog import Catalogue
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.service import Service, current_service


@dataclass(frozen=True, slots=True)
class Parts:
    """Built once in app.py."""

    settings: Settings
    catalogue: Catalogue
    overview: SharedAnswer[Overview]
    link_keys: tuple[bytes, ...]
    exports: OpenAnswers


class TrackingService(Service):
    """The kit's service with what this one's routes need."""

    parts: Parts


def _current(service: Annotated[Service, Depends(current_service)]) -> TrackingService:
    if not isinstance(service, TrackingService):
        raise TypeError("these routes belong to the tracking service")
    return service


CurrentService = Annotated[TrackingService, Depends(_current)]
