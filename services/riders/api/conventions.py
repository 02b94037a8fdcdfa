"""Conventions of this service's routes: names."""

from typing import Annotated

from pydantic import Field

from shared.events.outside import ONE_LINE

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"), ONE_LINE]
