"""A platform company was registered or changed, or its keys were."""

from uuid import UUID

from pydantic import Field

from shared.events.common import CompanyCode, Plain
from shared.events.topic import Audience, EventModel, Latest, Topic


class CompanyKey(EventModel):
    """One signing key, sealed with AES-256-GCM under the suite's sealing key; never in clear on a topic."""

    key_id: UUID
    sealed: Plain = Field(description="base64 of nonce and ciphertext; associated data is company code and key id")
    active: bool


class CompanyChanged(EventModel):
    """The company's whole state."""

    company_id: UUID
    code: CompanyCode
    name: Plain
    active: bool
    keys: tuple[CompanyKey, ...]


COMPANY_CHANGED = Topic(
    name="riders.company-changed.v1",
    model=CompanyChanged,
    key="company_id",
    producer="riders",
    consumers=("activities", "intake", "notifications", "rewards", "tracking", "tasks"),
    audience=Audience.INTERNAL,
    journey="registration",
    step=2,
    summary="A company is known, with its sealed signing keys.",
    partitions=1,
    kept=Latest(),
)
