"""What the routes share: the service's own parts, built in app.py, and parameters."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from services.rewards.usecases.redemptions import Answer, Desk, Wish
from services.rewards.usecases.vouchers import Counter
from shared.kit.auth import Principal
from shared.kit.batcher import Batcher
from shared.kit.problems import FORBIDDEN
from shared.kit.service import Service, current_service

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Parts:
    """Redeeming in groups, and the counter."""

    desk: Desk
    counter: Counter
    redeemer: Batcher[Wish, Answer]
    undo_days_max: int


class Rewards(Service):
    """The service with its parts."""

    parts: Parts


def _parts(request: Request) -> Parts:
    service = current_service(request)
    assert isinstance(service, Rewards), "app.py builds it"
    return service.parts


CurrentService = Annotated[Service, Depends(current_service)]
CurrentParts = Annotated[Parts, Depends(_parts)]


def merchant_id(caller: Principal) -> UUID:
    """The merchant the caller serves at. Raises the 403 problem when the token names none."""
    try:
        return UUID(caller.merchant)
    except ValueError:
        raise FORBIDDEN("the token names no merchant of ours") from None
