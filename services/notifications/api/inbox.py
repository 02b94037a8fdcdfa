"""A rider's inbox."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from services.notifications.domain import IDS, Language, choose_language
from services.notifications.store import messages
from services.notifications.texts import Texts
from shared.kit.auth import Caller, Rider, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["inbox"])


class MessageOut(Answer):
    """One message in the reader's language. `links`: ids of the report, case or redemption it is about."""

    message_id: UUID
    topic: str
    template: str
    title: str
    body: str
    links: dict[str, str]
    created_at: datetime
    read_at: datetime | None


class InboxOut(Page[MessageOut]):
    """Newest first."""

    unread: int = Field(description="counted up to 1,000")
    language: Language


class ReadAllIn(Body):
    """`up_to`: the newest message that the rider has seen, so that one arriving meanwhile stays unread."""

    up_to: UUID | None = None


class ReadOut(Answer):
    """When the message was first read."""

    message_id: UUID
    read_at: datetime


class ReadAllOut(Answer):
    """How many messages became read."""

    marked: int


@router.get("/v1/inbox")
@allow(Rider)
async def read_inbox(
    caller: Caller,
    conn: Reading,
    texts: Given[Texts],
    asked: Asked,
    language: Language | None = None,
) -> InboxOut:
    """The rider's messages, in the language given here, else preferred, else the company's."""
    rider_id = caller.rider_id
    found = await messages.page(conn, rider_id, asked.after(UUID), asked.rows)
    unread, preferred, locale = await messages.reader(conn, rider_id)
    spoken = language or choose_language(preferred, locale)
    shown = [
        MessageOut(
            message_id=one.message_id,
            topic=one.topic,
            template=one.template,
            title=title,
            body=body,
            links={name: str(one.params[name]) for name in sorted(IDS & one.params.keys()) if one.params[name]},
            created_at=one.created_at,
            read_at=one.read_at,
        )
        for one in found[: asked.limit]
        for title, body in [texts.render(one.template, one.params, spoken)]
    ]
    more = asked.next(found, lambda one: one.message_id)
    return InboxOut(items=shown, cursor=more, unread=unread, language=spoken)


@router.post("/v1/inbox/read-all")
@allow(Rider)
async def mark_all_read(body: ReadAllIn, caller: Caller, service: CurrentService) -> ReadAllOut:
    """Mark everything read, or everything up to a message."""
    async with service.work() as work:
        marked = await messages.mark_all_read(work.conn, caller.rider_id, body.up_to)
    return ReadAllOut(marked=marked)


@router.post("/v1/inbox/{message_id}/read")
@allow(Rider, refuses=(NOT_FOUND,))
async def mark_read(message_id: UUID, caller: Caller, service: CurrentService) -> ReadOut:
    """Mark one message read; again changes nothing."""
    async with service.work() as work:
        read_at = await messages.mark_read(work.conn, caller.rider_id, message_id)
    if read_at is None:
        raise not_found("message")
    return ReadOut(message_id=message_id, read_at=read_at)
