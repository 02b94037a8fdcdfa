"""Conventions of this service's routes: strict bodies, names, refusals as problems."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from services.riders.domain import Refusal
from shared.events.outside import ONE_LINE, Code
from shared.kit.http import ApiProblem, busy
from shared.kit.service import Service, current_service

CurrentService = Annotated[Service, Depends(current_service)]
After = Annotated[Code, Query(max_length=64, description="code of the last one of the page before")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"), ONE_LINE]
_STATUS = {
    "company_suspended": 403,
    "unknown_company": 403,
    "company_exists": 409,
    "rider_erased": 409,
    "event_known": 409,
    "too_many_keys": 409,
}


class In(BaseModel):
    """A request body: a field that isn't known is refused, so that a typing error can't go unseen."""

    model_config = ConfigDict(extra="forbid")


def not_when_overloaded(service: Service) -> None:
    """Raises the 503 problem while Kafka takes nothing and events pile up."""
    if service.overloaded():
        raise busy("events wait for Kafka", retry_after_s=5)


def problem_of(refusal: Refusal) -> ApiProblem:
    """A refusal over HTTP."""
    extras = {} if refusal.field is None else {"field": refusal.field}
    return ApiProblem(_STATUS.get(refusal.code, 422), refusal.code, refusal.title, refusal.detail, extras)
