"""Rules of intake: pure, no library, `now` is passed in. HTTP and Kafka share them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal
from uuid import UUID

from services.intake import problems
from shared.kit.refusals import Refusal
from shared.known.domain import Rider, company_refusal, rider_refusal

FUTURE_TOLERANCE = timedelta(minutes=5)
REPORTS_PER_REQUEST_MAX = 500
Datum = Literal["wgs84", "gcj02", "bd09"]

PHOTO_BYTES_MAX = 16 * 1024 * 1024
PIXELS_MAX = 64_000_000
"""Phones make 12, 24 or 48 to 50 million by default."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a streamed report waits for its rider, or for a change of theirs, and how many of one company may."""

    seconds: int = 600
    rows_max: int = 5_000


WAITS = Waits()
"""As the settings are unless somebody says otherwise."""


@dataclass(slots=True)
class Submission:
    """A report as it was sent. Either `company` and `rider` (its own number) or `rider_id` say who saw it."""

    source: str
    """Whose numbering `external_id` belongs to: a company's code, or `rider:<id>`."""
    external_id: str
    company: str | None
    rider: str | None
    rider_id: UUID | None
    kind: str
    lng: float
    lat: float
    datum: Datum
    accuracy_m: float | None
    """The radius in metres; None: unknown."""
    occurred_at: datetime
    text: str
    photos: tuple[str, ...]
    traceparent: str | None = None
    event_id: UUID | None = None
    """Of an event that came over HTTP; what Kafka brings was held against the inbox before."""
    event_content: bytes | None = None
    """What that event says: a hash, as the inbox has it."""


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo that a report may use. `owner`: `company:<code>` or `person:<rider id>`."""

    photo_id: UUID
    owner: str
    sha256: str
    phash: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the checks of one batch need."""

    companies: Mapping[str, bool]
    """Company code → active."""
    riders: Mapping[tuple[str, str], Rider]
    """(company, external id) → rider."""
    riders_by_id: Mapping[UUID, Rider] = field(default_factory=dict)
    photos: Mapping[str, StoredPhoto] = field(default_factory=dict)
    """Photo id as text → photo."""

    def rider_of(self, submission: Submission) -> Rider | None:
        """The rider who saw it."""
        if submission.rider_id is not None:
            return self.riders_by_id.get(submission.rider_id)
        return self.riders.get((submission.company or "", submission.rider or ""))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report that counts. `fresh` false: it was accepted before, this is the first answer again."""

    report_id: UUID
    received_at: datetime
    fresh: bool


@dataclass(frozen=True, slots=True)
class Earlier:
    """A report accepted before under the same number."""

    report_id: UUID
    content_hash: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class AcceptedReport:
    """The row of an accepted report."""

    report_id: UUID
    source: str
    external_id: str
    company: str
    rider_id: UUID
    kind: str
    received_at: datetime


def content_hash(s: Submission) -> bytes:
    """16 bytes that two submissions share only when they say the same."""
    said = (s.rider, s.kind, s.lng, s.lat, s.datum, s.accuracy_m, s.occurred_at.isoformat(), s.text, s.photos)
    return blake2b(repr(said).encode(), digest_size=16).digest()


def refusal_of(s: Submission, rider: Rider | None, known: Known, level: str | None, now: datetime) -> Refusal | None:
    """Why a submission can't be accepted; None: it can.

    Args:
        s: the submission.
        rider: who saw it, as far as known.
        known: companies and photos.
        level: of the kind; None where the catalogue doesn't have the kind.
        now: the current instant.
    """
    return _content_refusal(s, level, now) or _sender_refusal(s, rider, known) or _photo_refusal(s, rider, known)


def _content_refusal(s: Submission, level: str | None, now: datetime) -> Refusal | None:
    """Beside what the contract itself refuses: ranges, lengths, datums (shared/events/inbound_reports.py)."""
    if level is None:
        return problems.UNKNOWN_KIND("the catalogue has no such kind", field="kind")
    if s.occurred_at > now + FUTURE_TOLERANCE:
        return problems.OCCURRED_IN_FUTURE("occurred_at is ahead", field="occurred_at")
    return None


def _sender_refusal(s: Submission, rider: Rider | None, known: Known) -> Refusal | None:
    # before the rider: no registration helps. Nobody knows any more whose an erased rider was
    code = s.company or (rider.company if rider is not None else "")
    if code and (refusal := company_refusal(known.companies.get(code))) is not None:
        return refusal
    if (refusal := rider_refusal(rider)) is not None:
        return refusal
    if rider is not None and not rider.consent:
        return problems.for_now(problems.CONSENT_MISSING.code, problems.NO_CONSENT)
    return None


def lacking(code: str) -> str:
    """What a rider lacks whose report waits, in the words of the refusal."""
    return {
        problems.UNKNOWN_RIDER.code: "the rider is not registered",
        problems.RIDER_INACTIVE.code: "the rider is no longer active",
    }.get(code, problems.NO_CONSENT)


def is_for_now(outcome: object) -> bool:
    """Whether a change of the rider, which may be on its way, puts this refusal right."""
    return isinstance(outcome, Refusal) and outcome.code in problems.FOR_NOW


def waits_yet(code: str) -> Refusal:
    """What is answered to who sends a report that waits, in the moment between its rider's change and its turn."""
    return problems.for_now(code, "the report came before, and waits: it is about to be taken up")


def newcomer(rider_id: UUID, company: str, external_id: str) -> Rider:
    """A rider as they will be known when an operator has registered them with a file of reports."""
    return Rider(rider_id, company, external_id, consent=True, active=True)


def _photo_refusal(s: Submission, rider: Rider | None, known: Known) -> Refusal | None:
    for photo_id in s.photos:
        photo = known.photos.get(photo_id)
        if photo is None or rider is None or photo.owner not in photo_owners(rider):
            # somebody else's photo looks like none
            return problems.UNKNOWN_PHOTO("no such photo of yours", field="photos")
    return None


def photo_owners(rider: Rider) -> tuple[str, str]:
    """Whose photos a report of this rider may use: the company's uploads and the rider's own."""
    return f"company:{rider.company}", f"person:{rider.rider_id}"


@dataclass(frozen=True, slots=True)
class Place:
    """WGS-84 degrees."""

    lng: float
    lat: float


@dataclass(frozen=True, slots=True)
class ProcessedPhoto:
    """A photo made again from its pixels: JPEG without metadata, and a thumbnail. `place` was in its EXIF."""

    jpeg: bytes
    thumbnail: bytes
    width: int
    height: int
    sha256: str
    phash: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A photo's row."""

    photo_id: UUID
    owner: str
    sha256: str
    phash: str
    width: int
    height: int
    place: Place | None
    stored: bool
    rider_id: UUID | None = None
    """Of the report that uses it."""
    grids: tuple[str, ...] = ()
    """Where that report's case is now; none while it has no case."""
