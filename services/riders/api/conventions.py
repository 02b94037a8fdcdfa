"""Conventions of this service's routes: names."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field

from shared.events.outside import ONE_LINE
from shared.kit.service import Service, current_service

CurrentService = Annotated[Service, Depends(current_service)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"), ONE_LINE]
