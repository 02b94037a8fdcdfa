"""Whose is a mail address? A code is sent there, and entered here."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.notifications import problems
from services.notifications.domain import CODE_VALID
from services.notifications.usecases import verifying
from services.notifications.usecases.preferences import UnknownChannel
from services.notifications.usecases.verifying import TooManyCodes, VerifiedAlready
from shared.events.outside import Code
from shared.kit.auth import Caller, Rider, Sealer, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.problems import NOT_FOUND, not_found, too_many
from shared.kit.service import CurrentService, Given

router = policy_router(tags=["preferences"])


class CodeAskedOut(Answer):
    """A code was sent, unless the address has got too many of late, whoever asked for them."""

    wait_s: int = Field(description="seconds until another code may be asked for")
    valid_s: int = Field(description="seconds for which a code is good, from its sending")


class VerifyIn(Body):
    """The code of the mail; spaces don't count."""

    code: Annotated[Code, Field(min_length=4, max_length=20, pattern=r"^[0-9 ]+$", examples=["12345678"])]


class VerifiedOut(Answer):
    """The channel gets notifications from now on."""

    channel_id: UUID
    verified: bool


@router.post("/v1/preferences/channels/{channel_id}/code", status_code=202)
@allow(
    Rider,
    refuses=(
        NOT_FOUND,
        problems.VERIFIED_ALREADY,
    ),
)
async def send_code(channel_id: UUID, caller: Caller, service: CurrentService, sealer: Given[Sealer]) -> CodeAskedOut:
    """Send a code to the channel's address. The answer doesn't say whether anybody else uses it."""
    rider_id = caller.rider_id
    try:
        async with service.work() as work:
            await verifying.ask(work, sealer, rider_id, channel_id)
            wait_s = await verifying.wait_s(work.conn, rider_id)
    except UnknownChannel as error:
        raise not_found("channel") from error
    except VerifiedAlready as error:
        raise problems.VERIFIED_ALREADY("it needs no code") from error
    except TooManyCodes as error:
        raise too_many(error.wait_s) from error
    return CodeAskedOut(wait_s=wait_s, valid_s=int(CODE_VALID.total_seconds()))


@router.post("/v1/preferences/channels/{channel_id}/verify")
@allow(Rider, refuses=(NOT_FOUND, problems.WRONG_CODE, problems.CODE_EXPIRED))
async def verify(
    channel_id: UUID, body: VerifyIn, caller: Caller, service: CurrentService, sealer: Given[Sealer]
) -> VerifiedOut:
    """Enter the code that was sent to the address. Five tries a code; again after it was right changes nothing."""
    code = "".join(body.code.split())
    try:
        async with service.work() as work:
            verdict = await verifying.verify(work, sealer, caller.rider_id, channel_id, code)
    except UnknownChannel as error:
        raise not_found("channel") from error
    # only here: a problem raised inside would roll the count of tries back
    if verdict == "wrong":
        raise problems.WRONG_CODE("not the code of the last mail")
    if verdict == "expired":
        raise problems.CODE_EXPIRED("expired, or tried too often")
    return VerifiedOut(channel_id=channel_id, verified=True)
