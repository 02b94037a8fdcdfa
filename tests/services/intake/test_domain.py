"""Every bad report has a reason of its own, over HTTP and Kafka alike."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from services.intake import domain
from services.intake.api.reports import ReportIn, ReportItemIn
from services.intake.domain import Known, Rider, StoredPhoto, Submission
from shared.events.inbound_reports import ReportSubmission

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
RIDER_ID = UUID("0198c0de-0000-7000-8000-000000000001")
PHOTO_ID = UUID("0198c0de-0000-7000-8000-000000000002")
RIDER = Rider(RIDER_ID, "sf-express", "r1", consent=True, active=True)


def submission(**changed: Any) -> Submission:
    good = Submission(
        "sf-express", "n1", "sf-express", "r1", None, "part-01001", 120.2, 30.3, "gcj02", 15.0, NOW, "井盖破损", ()
    )
    return replace(good, **changed)


def known(rider: Rider = RIDER, active: bool = True, photos: dict[str, StoredPhoto] | None = None) -> Known:
    return Known({"sf-express": active}, {("sf-express", "r1"): rider}, {RIDER_ID: rider}, photos or {})


def code_of(one: Submission, world: Known | None = None, level: str | None = "hazard") -> str | None:
    world = world or known()
    refusal = domain.refusal_of(one, world.rider_of(one), world, level, NOW)
    return refusal.code if refusal else None


def test_a_good_report_is_accepted() -> None:
    assert code_of(submission()) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"occurred_at": NOW + timedelta(minutes=5, seconds=1)}, "occurred_in_future"),
        ({"company": "nobody"}, "unknown_company"),
        ({"rider": "r2"}, "unknown_rider"),
        ({"photos": (str(PHOTO_ID),)}, "unknown_photo"),
        ({"photos": ("no uuid",)}, "unknown_photo"),
    ],
)
def test_bad_reports(changed: dict[str, Any], code: str) -> None:
    assert code_of(submission(**changed)) == code


GOOD = {
    "external_id": "n1", "rider": "r1", "kind": "part-01001", "occurred_at": "2026-11-20T08:00:00Z",
    "place": {"lng": 120.2, "lat": 30.3, "datum": "gcj02", "accuracy_m": 15},
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "other", "field"),
    [
        ({"datum": "mars"}, {}, "datum"),
        ({"lng": float("nan")}, {}, "lng"),
        ({"lat": float("inf")}, {}, "lat"),
        ({"lat": 90.1}, {}, "lat"),
        ({"accuracy_m": float("nan")}, {}, "accuracy_m"),
        ({"accuracy_m": "near"}, {}, "accuracy_m"),
        ({}, {"text": "x" * (1 << 20)}, "text"),
        ({}, {"photos": [str(PHOTO_ID)] * 7}, "photos"),
        ({}, {"occurred_at": 1_700_000_000}, "occurred_at"),
        ({}, {"occurred_at": "2026-11-20T08:00:00"}, "occurred_at"),
    ],
)
@pytest.mark.parametrize("model", [ReportSubmission, ReportIn, ReportItemIn])
def test_the_contract_itself_refuses(
    model: type[BaseModel], place: dict[str, Any], other: dict[str, Any], field: str
) -> None:
    model.model_validate(GOOD)
    with pytest.raises(ValidationError) as refused:
        model.model_validate({**GOOD, **other, "place": {**GOOD["place"], **place}})  # type: ignore[dict-item]  # a dict
    assert {error["loc"][-1] for error in refused.value.errors()} == {field}


@pytest.mark.parametrize(
    ("said", "known_m"), [(-1, None), (None, None), (0, None), (1e300, None), (650, 650), (200.5, 200.5), (12, 12)]
)
@pytest.mark.parametrize("model", [ReportSubmission, ReportIn, ReportItemIn])
def test_a_vague_place_is_taken_as_what_it_is(
    model: type[BaseModel], said: float | None, known_m: float | None
) -> None:
    place = {**GOOD["place"], "accuracy_m": said}  # type: ignore[dict-item]  # a dict
    assert model.model_validate({**GOOD, "place": place}).place.accuracy_m == known_m  # type: ignore[attr-defined]  # each has one


def test_a_clock_five_minutes_ahead_is_tolerated() -> None:
    assert code_of(submission(occurred_at=NOW + timedelta(minutes=5))) is None


def test_unknown_kind() -> None:
    assert code_of(submission(), level=None) == "unknown_kind"


def test_who_may_report() -> None:
    assert code_of(submission(), known(active=False)) == "company_suspended"
    assert code_of(submission(), known(replace(RIDER, active=False))) == "rider_inactive"
    assert code_of(submission(), known(replace(RIDER, consent=False))) == "consent_missing"


def test_a_rider_himself_depends_on_his_company() -> None:
    own = submission(source=f"rider:{RIDER_ID}", company=None, rider=None, rider_id=RIDER_ID)
    assert code_of(own) is None
    assert code_of(own, known(active=False)) == "company_suspended"
    assert code_of(own, known(replace(RIDER, company="nobody"))) == "unknown_company"
    assert code_of(replace(own, rider_id=PHOTO_ID)) == "unknown_rider"
    gone = Rider(RIDER_ID, "", "erased:0", consent=False, active=False, erased=True)
    assert code_of(own, known(gone)) == "rider_erased", "nobody knows any more whose they were"


@pytest.mark.parametrize(
    ("owner", "code"),
    [
        ("company:sf-express", None),
        (f"person:{RIDER_ID}", None),
        ("company:other", "unknown_photo"),
        (f"person:{PHOTO_ID}", "unknown_photo"),
    ],
)
def test_photos_of_others_look_like_none(owner: str, code: str | None) -> None:
    photo = StoredPhoto(PHOTO_ID, owner, "0" * 64, "0" * 16)
    assert code_of(submission(photos=(str(PHOTO_ID),)), known(photos={str(PHOTO_ID): photo})) == code


def test_the_content_hash_tells_every_field_apart() -> None:
    good = submission()
    others = [
        replace(good, rider="r2"),
        replace(good, kind="part-01002"),
        replace(good, lng=120.21),
        replace(good, datum="bd09"),
        replace(good, accuracy_m=16.0),
        replace(good, occurred_at=NOW + timedelta(seconds=1)),
        replace(good, text="井盖"),
        replace(good, photos=("a",)),
    ]
    assert len({domain.content_hash(one) for one in [good, *others]}) == 9
    assert domain.content_hash(replace(good, traceparent="00-x")) == domain.content_hash(good)


def test_no_registration_helps_where_the_company_is_suspended() -> None:
    assert code_of(submission(rider="r2"), known(active=False)) == "company_suspended"


def test_a_newcomer_is_taken_as_if_registered() -> None:
    world = known(domain.newcomer(RIDER_ID, "sf-express", "r1"))
    assert code_of(submission(), world) is None
    assert code_of(submission(photos=("no uuid",)), world) == "unknown_photo"
