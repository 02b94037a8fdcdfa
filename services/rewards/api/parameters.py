"""Parameters that the routes share."""

from uuid import UUID

from shared.kit.auth import Principal
from shared.kit.problems import FORBIDDEN

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


def merchant_id(caller: Principal) -> UUID:
    """The merchant the caller serves at. Raises the 403 problem when the token names none."""
    try:
        return UUID(caller.merchant)
    except ValueError:
        raise FORBIDDEN("the token names no merchant of ours") from None
