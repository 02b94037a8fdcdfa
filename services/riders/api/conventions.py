"""Conventions of this service's routes: strict bodies, names."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.events.outside import ONE_LINE, Code
from shared.kit.problems import ServiceBusy
from shared.kit.service import Service, current_service

CurrentService = Annotated[Service, Depends(current_service)]
After = Annotated[Code, Query(max_length=64, description="code of the last one of the page before")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"), ONE_LINE]


class In(BaseModel):
    """A request body: a field that isn't known is refused, so that a typing error can't go unseen."""

    model_config = ConfigDict(extra="forbid")


def not_when_overloaded(service: Service) -> None:
    """Raises the 503 problem while Kafka takes nothing and events pile up."""
    if service.overloaded():
        raise ServiceBusy("events wait for Kafka", retry_after_s=5)
