"""What a rider chooses, and operators' channels for emergencies."""

import asyncio
import re
from datetime import time
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Response
from pydantic import Field, SecretStr, model_validator

from services.notifications import problems
from services.notifications.domain import Channel, ChannelKind, Language, Preferences
from services.notifications.outbound.channel import ChannelSender, usable
from services.notifications.store import people
from services.notifications.usecases import preferences as usecases
from services.notifications.usecases.preferences import Outdated, UnknownChannel, WantedChannel
from services.notifications.usecases.verifying import wait_s
from shared.events.common import AreaCode
from shared.events.outside import RowId
from shared.kit.auth import Caller, Operator, Rider, Sealer, allow, policy_router
from shared.kit.auth.idempotency import Idempotent
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.postgres.db import Connection
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["preferences"])
FIRST_ID = UUID(int=0)
RiderTopic = Literal["case", "points", "rewards"]
RIDER_TOPICS: tuple[RiderTopic, ...] = ("case", "points", "rewards")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
Address = Annotated[SecretStr, Field(min_length=3, max_length=500)]
ADDRESS_HELP = "mail: the address; wecom, dingtalk, feishu: the group bot as wecombot://…, dingtalk://…, feishu://…"


class QuietHours(Body):
    """City time, to the minute; may cross midnight. Messages outside the app wait for its end."""

    begin: time
    end: time

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if self.begin.tzinfo or self.end.tzinfo or self.begin == self.end:
            raise ValueError("two different local times without zone")
        return self


class ChannelIn(Body):
    """A new channel with its address, or one that is known by its `channel_id`, whose address may stay unsaid."""

    channel_id: UUID | None = None
    kind: ChannelKind
    address: Address | None = Field(None, description=ADDRESS_HELP)
    topics: Annotated[tuple[RiderTopic, ...], Field(min_length=1, max_length=3)] = RIDER_TOPICS


class PreferencesIn(Body):
    """All of them, as they are to be. `version`: the one that was read, so that nobody overwrites unseen changes."""

    language: Language | None = Field(None, description="none: the language the company has named")
    quiet_hours: QuietHours | None = None
    channels: Annotated[tuple[ChannelIn, ...], Field(max_length=5)] = ()
    version: RowId


class ChannelOut(Answer):
    """A channel; `address` is masked. Another address is another channel, with an id of its own."""

    channel_id: UUID
    kind: ChannelKind
    address: str
    topics: tuple[str, ...]
    verified: bool = Field(description="false: 未验证 / unverified; the address gets nothing but a code")

    @classmethod
    def of(cls, channel: Channel) -> Self:
        """As it may be shown."""
        return cls(
            channel_id=channel.channel_id,
            kind=channel.kind,
            address=channel.hint,
            topics=channel.topics,
            verified=channel.verified,
        )


class PreferencesOut(Answer):
    """What holds now; `version` 0: the rider has chosen nothing yet."""

    code_wait_s: int = Field(description="seconds until a code may be asked for")
    language: Language | None
    quiet_hours: QuietHours | None
    channels: list[ChannelOut]
    version: int

    @classmethod
    def of(cls, found: Preferences, code_wait_s: int) -> Self:
        """As it may be shown."""
        quiet = QuietHours(begin=found.quiet[0], end=found.quiet[1]) if found.quiet else None
        return cls(
            language=found.language,
            quiet_hours=quiet,
            channels=[ChannelOut.of(one) for one in found.channels],
            version=found.version,
            code_wait_s=code_wait_s,
        )


class OperatorChannelIn(Body):
    """Emergencies of an area, and of all that lies in it, are announced here at once."""

    kind: ChannelKind
    address: Address = Field(description=ADDRESS_HELP)
    area: AreaCode
    language: Language = "zh"


class OperatorChannelOut(ChannelOut):
    """An operators' channel; `address` is masked."""

    area: str
    language: Language

    @classmethod
    def of(cls, channel: Channel) -> Self:
        """As it may be shown."""
        shown = ChannelOut.of(channel).model_dump()
        return cls(**shown, area=channel.area or "", language=channel.language or "zh")


@router.get("/v1/preferences")
@allow(Rider)
async def read_preferences(caller: Caller, conn: Reading) -> PreferencesOut:
    """What the rider has chosen."""
    return await _chosen(conn, caller.rider_id)


@router.put("/v1/preferences")
@allow(Rider, refuses=(problems.UNKNOWN_CHANNEL, problems.OUTDATED, problems.NO_MAIL, problems.BAD_ADDRESS))
async def put_preferences(
    body: PreferencesIn,
    caller: Caller,
    service: CurrentService,
    sealer: Given[Sealer],
    sender: Given[ChannelSender],
) -> PreferencesOut:
    """Replace everything; channels that aren't named are removed with their addresses. A new mail address is
    unverified, whoever else uses it: ask for a code next."""
    wanted = [
        WantedChannel(one.channel_id, one.kind, await _address(sender, one.kind, one.address), one.topics)
        for one in body.channels
    ]
    quiet = (body.quiet_hours.begin, body.quiet_hours.end) if body.quiet_hours else None
    try:
        async with service.work() as work:
            await usecases.replace(
                work, sealer, caller.rider_id,
                language=body.language, quiet=quiet, channels=wanted, version=body.version,
            )  # fmt: skip
            return await _chosen(work.conn, caller.rider_id)
    except UnknownChannel as error:
        raise problems.UNKNOWN_CHANNEL("give its address") from error
    except Outdated as error:
        async with service.reading() as conn:
            shown = (await _chosen(conn, caller.rider_id)).model_dump(mode="json")
        raise problems.OUTDATED("read them again", current=shown) from error


@router.get("/v1/notifications/channels")
@allow(Operator)
async def list_operator_channels(
    caller: Caller,
    conn: Reading,
    asked: Asked,
) -> Page[OperatorChannelOut]:
    """Operators' channels of the caller's areas, by id."""
    after = asked.after(UUID) or FIRST_ID
    found: list[Channel] = []
    while len(found) < asked.rows:
        page = await people.operator_channels(conn, after, asked.rows)
        found += [one for one in page if caller.covers(one.area or "")]
        if len(page) < asked.rows:
            break
        after = page[-1].channel_id
    return asked.page(found, OperatorChannelOut.of, lambda one: one.channel_id)


@router.post("/v1/notifications/channels", status_code=201, response_model=OperatorChannelOut)
@allow(Operator, refuses=(NOT_FOUND, problems.NO_MAIL, problems.BAD_ADDRESS))
async def add_operator_channel(
    body: OperatorChannelIn,
    caller: Caller,
    attempt: Idempotent,
    service: CurrentService,
    sealer: Given[Sealer],
    sender: Given[ChannelSender],
) -> Response:
    """Send an area's emergencies to a mail box or a group bot."""
    if not caller.covers(body.area):
        raise not_found("area")
    address = await _address(sender, body.kind, body.address)
    assert address is not None, "the body requires it"
    async with service.work() as work:
        if (seen := await attempt.remembered(work.conn)) is not None:
            return seen.response()
        channel = await usecases.add_operator_channel(work, sealer, body.kind, address, body.area, body.language)
        return await attempt.store(work.conn, 201, OperatorChannelOut.of(channel))


@router.delete("/v1/notifications/channels/{channel_id}", status_code=204)
@allow(Operator, refuses=(NOT_FOUND,))
async def drop_operator_channel(channel_id: UUID, caller: Caller, service: CurrentService) -> None:
    """Remove an operators' channel."""
    async with service.work() as work:
        area = await people.area_of_channel(work.conn, channel_id)
        # an area's successor may have taken it over meanwhile: what is dropped is the caller's then as well
        if area is None or not caller.covers(area) or not await people.drop_operator_channel(work.conn, channel_id):
            raise not_found("channel")


async def _chosen(conn: Connection, rider_id: UUID) -> PreferencesOut:
    found = await people.preferences(conn, rider_id)
    return PreferencesOut.of(found, await wait_s(conn, rider_id))


async def _address(sender: ChannelSender, kind: ChannelKind, given: SecretStr | None) -> str | None:
    """The checked address. Every kind leads to one fixed public host or to our own mail server: see ChannelSender."""
    if given is None:
        return None
    address = given.get_secret_value()
    if kind == "mail":
        if sender.url("mail", address) is None:
            raise problems.NO_MAIL("the city has no mail gateway")
        good = _MAIL.fullmatch(address) is not None
    else:
        good = (
            address.isascii()
            and address.isprintable()
            and " " not in address
            and await asyncio.to_thread(usable, kind, address)
        )
    if not good:
        raise problems.BAD_ADDRESS(f"not an address of kind {kind}")
    return address
