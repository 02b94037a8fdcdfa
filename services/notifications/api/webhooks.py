"""Companies' webhooks."""

import asyncio
import base64
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from services.notifications import problems
from services.notifications.domain import Webhook
from services.notifications.outbound.guard import Forbidden
from services.notifications.outbound.names import LookupsBusy, Unresolvable
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.settings import Settings
from services.notifications.store import webhooks
from services.notifications.usecases import webhooks as usecases
from shared.events.common import CompanyCode
from shared.events.outside import Code
from shared.kit import clock
from shared.kit.auth import AnyOf, Caller, CityOperator, Company, Principal, Sealer, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import FORBIDDEN, NOT_FOUND, ServiceBusy, not_found
from shared.kit.service import CurrentService, Given, Reading

router = policy_router(tags=["webhooks"])
NAME_WITHIN_S = 3.0


class WebhookIn(Body):
    """`company`: whose, only from an operator. `rotate`: make a new secret; for a day both sign."""

    url: Annotated[Code, Field(min_length=8, max_length=500)]
    rotate: bool = False
    company: CompanyCode | None = None


class TestIn(Body):
    """`company`: whose, only from an operator."""

    company: CompanyCode | None = None


class WebhookOut(Answer):
    """A webhook. `state`: working, failing (tried again from `paused_until`), or off."""

    company: str
    url: str
    state: Literal["working", "failing", "off"]
    paused_until: datetime | None
    waiting: int = Field(description="deliveries that will be tried")
    dead: int = Field(description="deliveries that were given up")
    updated_at: datetime
    previous_until: datetime | None = Field(description="until then the former secret signs too; none: it doesn't")
    secret: str | None = Field(None, description="whsec_…, only in the answer that made it")

    @classmethod
    def of(cls, hook: Webhook, figures: dict[str, int], secret: bytes | None = None) -> Self:
        """As it may be shown."""
        paused = hook.failures > 0 and hook.paused_until > clock.now()  # process clock: shown only
        return cls(
            company=hook.company,
            url=hook.url,
            state="off" if not hook.active else "failing" if hook.failures else "working",
            paused_until=hook.paused_until if paused else None,
            waiting=figures.get("pending", 0) + figures.get("failed", 0),
            dead=figures.get("dead", 0),
            updated_at=hook.updated_at,
            previous_until=hook.previous_until if hook.sealed_previous else None,
            secret=None if secret is None else "whsec_" + base64.b64encode(secret).decode(),
        )


class TestOut(Answer):
    """`test_id` comes back in the test event's data."""

    test_id: UUID


@router.put("/v1/webhooks")
@allow(
    AnyOf(Company, CityOperator),
    answer_kept=False,
    refuses=(NOT_FOUND, problems.URL_NOT_ALLOWED, problems.COMPANY_MISSING, problems.COMPANY_SUSPENDED),
)
async def put_webhook(
    body: WebhookIn,
    caller: Caller,
    service: CurrentService,
    settings: Given[Settings],
    sealer: Given[Sealer],
    sender: Given[WebhookSender],
) -> WebhookOut:
    """Set the URL that is notified of the company's reports. The secret is shown once, here. A webhook that fails is
    failing until it takes a delivery; another URL is tried within seconds. One whose host has no address now, or one
    that isn't public, is refused."""
    company = company_of(caller, body.company)
    await _check(sender, body.url, company)
    async with service.work() as work:
        done = await usecases.put(work, settings, sealer, company, body.url, rotate=body.rotate)
    if done is None:
        raise not_found("company")
    return WebhookOut.of(done.webhook, {}, done.secret)


@router.get("/v1/webhooks")
@allow(AnyOf(Company, CityOperator))
async def list_webhooks(
    caller: Caller,
    conn: Reading,
    asked: Asked,
) -> Page[WebhookOut]:
    """A company's own webhook; for an operator those of all companies, by company code."""
    after = asked.after(str) or ""
    if caller.kind == "company":
        own = await webhooks.webhook(conn, caller.company_code)
        found = [own] if own else []
    else:
        found = await webhooks.webhooks(conn, after, asked.rows)
    figures = await webhooks.figures(conn, [one.webhook_id for one in found])
    return asked.page(found, lambda one: WebhookOut.of(one, figures[one.webhook_id]), lambda one: one.company)


@router.delete("/v1/webhooks", status_code=204)
@allow(
    AnyOf(Company, CityOperator),
    refuses=(
        NOT_FOUND,
        problems.COMPANY_MISSING,
    ),
)
async def switch_off_webhook(caller: Caller, service: CurrentService, company: CompanyCode | None = None) -> None:
    """Send nothing more. Setting the URL again switches it on."""
    async with service.work() as work:
        if not await usecases.switch_off(work, company_of(caller, company)):
            raise not_found("webhook")


@router.post("/v1/webhooks/test", status_code=202)
@allow(
    AnyOf(Company, CityOperator),
    refuses=(
        NOT_FOUND,
        problems.COMPANY_MISSING,
    ),
)
async def test_webhook(
    caller: Caller,
    service: CurrentService,
    settings: Given[Settings],
    body: TestIn | None = None,  # noqa: PT028 a route and no test
) -> TestOut:
    """Send a `webhook.test` event, by the same way as any other; a few a minute. A webhook that fails is tried again
    within seconds. A company needs no body."""
    company = company_of(caller, None if body is None else body.company)
    if service.limiter is not None:
        await service.limiter.check(f"webhook-test:{company}", per_minute=settings.webhook_tests_per_minute)
    async with service.work() as work:
        test_id = await usecases.test(work, settings, company)
    if test_id is None:
        raise not_found("webhook")
    return TestOut(test_id=test_id)


async def _check(sender: WebhookSender, url: str, company: str) -> None:
    """Also whether its host has an address, and one that is allowed: who sets it hears it now, not from attempts."""
    try:
        async with asyncio.timeout(NAME_WITHIN_S):
            await sender.guard.resolve(url, company)
    except Forbidden as why:
        raise problems.URL_NOT_ALLOWED(str(why), field="url") from why
    except Unresolvable as why:
        raise problems.URL_NOT_ALLOWED(str(why), field="url") from why
    except TimeoutError as why:
        detail = f"the host's name isn't answered for within {NAME_WITHIN_S:g} s"
        raise problems.URL_NOT_ALLOWED(detail, field="url") from why
    except LookupsBusy as why:
        raise ServiceBusy("other names are being looked up") from why


def company_of(caller: Principal, named: str | None) -> str:
    """Whose webhook: the signer's own, never another one's; an operator names it."""
    if caller.kind == "company":
        if named is not None and named != caller.company_code:
            raise FORBIDDEN("a company sets its own webhook")
        return caller.company_code
    if named is None:
        raise problems.COMPANY_MISSING("an operator names the company")
    return named
