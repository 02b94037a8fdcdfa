"""Parameters and parts of bodies that the routes share."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from shared.events.outside import ONE_LINE, PLAIN_FORM
from shared.kit.auth import Principal
from shared.kit.http.models import Body
from shared.kit.privacy.masking import masked
from shared.kit.problems import FORBIDDEN

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
Text = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$"), ONE_LINE]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), PLAIN_FORM]
Weekdays = Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1, max_length=7)]
ALL_WEEK = (1, 2, 3, 4, 5, 6, 7)


class ClosingIn(Body):
    """Why it is closed, for riders to read; null opens it again."""

    reason: Annotated[Text, AfterValidator(masked)] | None


def merchant_id(caller: Principal) -> UUID:
    """The merchant the caller serves at. Raises the 403 problem when the token names none."""
    try:
        return UUID(caller.merchant)
    except ValueError:
        raise FORBIDDEN("the token names no merchant of ours") from None


def minutes(opens_at: str | None, closes_at: str | None) -> tuple[int, int]:
    """Hours as minutes of the day, the end maybe after midnight; None: always."""
    opens, closes = _minute(opens_at, 0), _minute(closes_at, 1440)
    return opens, closes if closes > opens else closes + 1440


def clock(minute: int) -> str:
    """A minute of the day as people write it."""
    return "24:00" if minute == 1440 else f"{minute // 60 % 24:02}:{minute % 60:02}"


def as_bits(days: tuple[int, ...]) -> int:
    """Days of the week, 1 for Monday, as the bits that are stored."""
    return sum(1 << day - 1 for day in set(days))


def as_days(bits: int) -> tuple[int, ...]:
    """The other way round."""
    return tuple(day for day in ALL_WEEK if bits >> day - 1 & 1)


def _minute(text: str | None, default: int) -> int:
    return default if text is None else int(text[:2]) * 60 + int(text[3:])
