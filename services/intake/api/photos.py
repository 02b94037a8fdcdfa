"""HTTP: photos."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request, Response

from services.intake import domain, problems
from services.intake.api.multipart import MultipartError, first_file
from services.intake.domain import PhotoRecord
from services.intake.settings import Settings
from services.intake.store.objects import StoreUnavailable
from services.intake.usecases import photos as usecases
from services.intake.usecases.imaging import DecoderUnavailable, PhotoQueueFull, PhotosTooSlow
from services.intake.usecases.photos import Photos
from shared.kit.auth import (
    AnyOf,
    Caller,
    Company,
    Department,
    Dispatcher,
    GridWorker,
    Operator,
    Principal,
    Rider,
    Verifier,
    allow,
    policy_router,
)
from shared.kit.http.events import TRACE
from shared.kit.http.models import Answer
from shared.kit.http.problems import not_taken
from shared.kit.messaging.cloudevents import media_type
from shared.kit.problems import CONTENT_TOO_LARGE, NOT_FOUND, ServiceBusy, not_found, too_many
from shared.kit.service import CurrentService, Given

router = policy_router(tags=["photos"])
MULTIPART_OVERHEAD_BYTES = 8_192
CASE_ROLES = frozenset({"operator", "grid_worker", "dispatcher", "department", "verifier"})
PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif", "application/octet-stream")
FORM_TYPE = "multipart/form-data"
MISNOMERS = ("", "binary/octet-stream")
"""What senders write who don't know better, beside any kind of image: their bytes say what they are."""
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}}
# Of six types generators make six bodies of one method. The text names the others, which are taken all the same.
_UPLOAD = {
    "requestBody": {"required": True, "content": {FORM_TYPE: _FORM, "application/octet-stream": _BINARY}},
    "parameters": [TRACE],
}


class PlaceOut(Answer):
    """WGS-84 degrees."""

    lng: float
    lat: float


class PhotoOut(Answer):
    """A kept photo. `place` is what the file said, before it was stripped."""

    photo_id: UUID
    width: int
    height: int
    sha256: str
    place: PlaceOut | None


@router.post(
    "/v1/photos",
    status_code=201,
    responses={200: {"model": PhotoOut}},
    openapi_extra=_UPLOAD,
)
@allow(
    AnyOf(Company, Rider),
    body_max=domain.PHOTO_BYTES_MAX + MULTIPART_OVERHEAD_BYTES,
    timeout_s=30,
    refuses=problems.OF_AN_UPLOAD,
)
async def upload_photo(
    request: Request,
    response: Response,
    caller: Caller,
    service: CurrentService,
    photos: Given[Photos],
    settings: Given[Settings],
) -> PhotoOut:
    """Upload a photo of at most 16 MiB and 64 megapixels (WebP: 16), as the body or as the form's file. 200: it was
    there already.

    JPEG, PNG, WebP and HEIC are known by their bytes: the type may be missing, octets or any `image/…`, such as
    `image/jpeg`. The photo is made again from its pixels; what else was in the file is dropped. Unused, it is gone
    after 24 hours.
    """
    if service.limiter is not None:
        allowed = settings.photos_per_minute
        if caller.kind == "company":
            allowed = settings.company_photos_per_minute
        await service.limiter.check(f"photos:{caller.key}", per_minute=allowed)
    content = _content(request.headers.get("content-type", ""), await request.body())
    try:
        record, fresh = await photos.keep(caller.key, content)
    except PhotosTooSlow as slow:
        raise too_many(slow.retry_after_s) from slow
    except (PhotoQueueFull, DecoderUnavailable, StoreUnavailable) as later:
        raise ServiceBusy("photos can't be taken right now") from later
    if not fresh:
        response.status_code = 200
    place = PlaceOut(lng=record.place.lng, lat=record.place.lat) if record.place else None
    return PhotoOut(
        photo_id=record.photo_id, width=record.width, height=record.height, sha256=record.sha256, place=place
    )


@router.get(
    "/v1/photos/{photo_id}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": _BINARY}}},
)
@allow(
    AnyOf(Company, Rider, GridWorker, Dispatcher, Department, Verifier, Operator), timeout_s=12, refuses=(NOT_FOUND,)
)
async def read_photo(
    photo_id: UUID,
    caller: Caller,
    service: CurrentService,
    photos: Given[Photos],
    size: Annotated[Literal["full", "thumbnail"], Query()] = "full",
) -> Response:
    """The photo as JPEG: for its owner, the report's rider, and those who work on cases where its case is."""
    async with service.reading() as conn:  # given back before the object store is asked
        record = await usecases.find(conn, photo_id)
    if record is None or not _may_see(caller, record):
        raise not_found("photo")
    try:
        content = await photos.objects.get(photo_id, size)
    except FileNotFoundError as gone:
        raise not_found("photo") from gone
    except StoreUnavailable as later:
        raise ServiceBusy("photos can't be read right now") from later
    headers = {
        "Cache-Control": "private, max-age=86400, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "inline",
    }
    return Response(content, media_type="image/jpeg", headers=headers)


def _may_see(caller: Principal, photo: PhotoRecord) -> bool:
    if photo.owner == caller.key:
        return True
    if caller.kind == "company":
        return False
    if photo.rider_id is None:  # an upload that no report uses is still its owner's alone
        return False
    if caller.is_self(photo.rider_id):
        return True
    return bool(caller.roles & CASE_ROLES) and (caller.covers_city or caller.covers_any(photo.grids))


def _content(content_type: str, body: bytes) -> bytes:
    """The photo's bytes. Raises the 400, 413 or 415 problem."""
    kind = media_type(content_type)
    if kind == FORM_TYPE:
        try:
            body = first_file(content_type, body)
        except MultipartError as bad:
            raise problems.MALFORMED_FORM(str(bad)) from bad
    elif not kind.startswith("image/") and kind not in PHOTO_TYPES + MISNOMERS:
        raise not_taken(", ".join((*PHOTO_TYPES, FORM_TYPE)))
    if not body:
        raise problems.PHOTO_EMPTY("the body or file is empty")
    if len(body) > domain.PHOTO_BYTES_MAX:
        raise CONTENT_TOO_LARGE(f"at most {domain.PHOTO_BYTES_MAX // 1024**2} MiB")
    return body
