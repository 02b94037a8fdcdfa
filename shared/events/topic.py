"""A Topic: everything about one Kafka topic, declared once; brokers, ACLs, manifests and documents are made from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

from shared.events.outside import exact


class EventModel(BaseModel):
    """Base of all event bodies: immutable; unknown fields are ignored, so that a newer producer stops no reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float", allow_inf_nan=False)


class Submitted(EventModel):
    """Base of what companies send: a field that nobody knows is refused, over HTTP as on Kafka, so that a typing error
    can't go unseen. A new field is taken from the release on that has it.
    """

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Numbers are numbers, no texts: what the JSON schema says."""
        return exact(handler(source))


M = TypeVar("M", bound=EventModel)


class Audience(StrEnum):
    """Who may read or write a topic besides the declared services."""

    INTERNAL = "internal"
    """Services of the suite only; may change between releases."""
    PUBLIC = "public"
    """City systems read it; no rider, coarse places; changes only by adding optional fields."""
    INBOUND = "inbound"
    """Companies write it, each on a topic of its own, `{company}` in the name; the ACL binds name and principal."""
    OUTBOUND = "outbound"
    """Companies read it, each the topic of its own with what concerns it alone; where a company has no such topic, what
    would be on it goes nowhere. Changes only by adding optional fields."""


OUTBOUND = "outbound."
"""How the names of such topics begin."""


@dataclass(frozen=True)
class Facts:
    """What happened: every record is there for a time, then gone. Whoever comes later has missed it."""

    hours: int = 24 * 7

    @property
    def whole_hours(self) -> int:
        """How long every record is there."""
        return self.hours

    @property
    def words(self) -> str:
        """How long, for people."""
        return _period(self.hours)


@dataclass(frozen=True)
class Latest:
    """The latest state of each key, for good: whoever comes later reads the producer's state from the topic alone.

    Each body is a whole state; superseded ones go. A key leaves by a tombstone: a record without a value.
    """

    steps_hours: int = 24
    """How long every record is there: a reader that is no further behind sees each step."""
    leaves: str = ""
    """When a key leaves, in words; empty: never."""

    @property
    def whole_hours(self) -> int:
        """How long every record is there."""
        return self.steps_hours

    @property
    def words(self) -> str:
        """How long, for people."""
        ends = f", until {self.leaves}" if self.leaves else ", for good"
        return f"the latest per key{ends}; each step {_period(self.steps_hours)}"


def _period(hours: int) -> str:
    return f"{hours // 24} d" if hours % 24 == 0 else f"{hours} h"


@dataclass(frozen=True)
class Topic(Generic[M]):
    """One topic. `name` is without the installation's prefix; `{company}` in it makes a family of topics."""

    name: str
    model: type[M]
    key: str
    """Field of the model that is the partition key: all events of one key arrive in order."""
    producer: str
    """Service that writes it; `company` for inbound topics."""
    consumers: tuple[str, ...]
    """Services that subscribe; `city-system` stands for subscribers outside the suite, `company` for the one in the
    topic's name."""
    audience: Audience
    journey: str
    """Which journey of docs/flow.md the topic belongs to."""
    step: int
    """Place in that journey, from 1."""
    summary: str
    partitions: int = 6
    kept: Facts | Latest = Facts()
    """How long: facts for a time, or the latest state of each key (docs/adr/0046)."""
    record_bytes_max: int = 262_144
    """A larger record is a dead letter. The broker takes more, so that a refusal can be published."""
    ordered: bool = True
    """Successors of a dead letter's key are parked until it is replayed. False where records are independent."""

    def __post_init__(self) -> None:
        if not self.consumers:
            raise ValueError(
                f"{self.name}: name who reads it; where nobody of the suite does, let city systems: a name that begins "
                "with public., read by city-system, and no rider in it"
            )
        if self.is_family and isinstance(self.kept, Latest):
            # a broker refuses records without a key where it keeps the latest per key, and strangers write these
            raise ValueError(f"{self.name}: what companies write and read are facts")

    @property
    def dlq(self) -> str:
        """Name of the dead-letter partner."""
        return f"{self.name}.dlq"

    @property
    def is_family(self) -> bool:
        """Whether the name has a `{company}` place."""
        return "{company}" in self.name

    def key_of(self, body: M) -> str:
        """The partition key of one event, as text."""
        return str(getattr(body, self.key))
