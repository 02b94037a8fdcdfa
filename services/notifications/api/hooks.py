"""What the suite sends to companies, for the `webhooks` of the OpenAPI document. Nothing of it is served."""

from typing import Annotated, Any

from fastapi import APIRouter, Header

from services.notifications.domain import FIRST_WAIT_S, PAUSE_S_MAX, WAIT_FACTOR, WAIT_S_MAX
from services.notifications.settings import Settings
from services.notifications.usecases.payloads import STATUS_CHANGED, TEST, ReportStatusChanged, WebhookTest

SIGNATURE = (
    "Standard Webhooks (https://www.standardwebhooks.com): `v1,` and the base64 of HMAC-SHA256 over "
    "`{webhook-id}.{webhook-timestamp}.{body}`, with the bytes behind `whsec_` as key. After a rotation there are two, "
    "parted by a space, until `previous_until`: one that is right is enough"
)
MessageId = Annotated[
    str, Header(alias="webhook-id", description="of the delivery, the same in all attempts: drop one that came before")
]
SentAt = Annotated[int, Header(alias="webhook-timestamp", description="seconds since 1970, of this attempt")]
Signature = Annotated[str, Header(alias="webhook-signature", description=SIGNATURE)]


def _setting(name: str) -> Any:
    return Settings.model_fields[name].default


_ATTEMPTS, _TIMEOUT_S, _AGE_H = map(_setting, ("delivery_attempts_max", "webhook_timeout_s", "delivery_age_hours_max"))
SCHEDULE = (
    f"At least once, in any order. Any 2xx within {_TIMEOUT_S:g} s counts as taken; what the answer says is not read. "
    f"Anything else, also a redirect, is tried again: {_ATTEMPTS} attempts, the first pause {FIRST_WAIT_S:g} s, each "
    f"next {WAIT_FACTOR:g} times as long up to {WAIT_S_MAX / 3600:g} h, ±20 %, or as long as Retry-After says in "
    f"seconds; after {_AGE_H} h at the latest it is dead. While a webhook fails it is tried with one delivery at a "
    f"time, at least every {PAUSE_S_MAX / 60:g} minutes. `GET /v1/webhooks/deliveries` has every attempt with its "
    "reason; `POST /v1/webhooks/deliveries/{delivery_id}/retry` sends one again. These numbers are an installation's "
    "defaults."
)
ANSWERS: dict[int | str, dict[str, Any]] = {
    "2XX": {"description": "taken; the body is not read"},
    "410": {"description": "no more at all: the webhook is switched off until its URL is set again"},
    "default": {"description": "not taken: tried again"},
}

router = APIRouter(tags=["webhooks"])


@router.post(STATUS_CHANGED, status_code=204, responses=ANSWERS, description=SCHEDULE)
def report_status_changed(
    body: ReportStatusChanged, webhook_id: MessageId, webhook_timestamp: SentAt, webhook_signature: Signature
) -> None:
    """A case of the company's reports took a step. No report is named by more than its id."""


@router.post(TEST, status_code=204, responses=ANSWERS, description=SCHEDULE)
def webhook_test(
    body: WebhookTest, webhook_id: MessageId, webhook_timestamp: SentAt, webhook_signature: Signature
) -> None:
    """Somebody of the company, or an operator, has asked for a test."""
