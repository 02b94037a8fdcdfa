"""What operator routes share: the service that they belong to."""

from typing import Annotated, Any

from fastapi import Depends, Request


def _service(request: Request) -> Any:
    return request.app.state.service


Serving = Annotated[Any, Depends(_service)]
