"""What a decoding process and its parent say to each other: a photo in, its remade form or a refusal out."""

import json
from dataclasses import asdict

from services.intake.domain import Place, ProcessedPhoto
from services.intake.problems import OF_DECODING
from shared.kit.refusals import Refusal

LENGTH_BYTES = 4
ANSWER_MAX = 32 * 1024 * 1024
"""Bytes of an answer at most: 2,048 × 2,048 pixels of noise are a quarter of it."""
READY = b"ready"


class Garbled(Exception):
    """An answer that no honest decoding process gives."""


def length(size: int) -> bytes:
    """The four bytes before every message."""
    return size.to_bytes(LENGTH_BYTES, "big")


def of_photo(photo: ProcessedPhoto) -> bytes:
    """An answer with a photo: a line of JSON, the JPEG, the thumbnail."""
    about = {
        "width": photo.width,
        "height": photo.height,
        "sha256": photo.sha256,
        "phash": photo.phash,
        "place": None if photo.place is None else asdict(photo.place),
        "jpeg_bytes": len(photo.jpeg),
    }
    return json.dumps(about).encode() + b"\n" + photo.jpeg + photo.thumbnail


def of_refusal(refused: Refusal) -> bytes:
    """An answer without one."""
    return json.dumps({"refused": refused.code, "detail": refused.detail}).encode() + b"\n"


def photo_of(answer: bytes) -> ProcessedPhoto:
    """What an answer says.

    Raises:
        Refusal: the upload can't be used.
        Garbled: it is no answer.
    """
    try:
        line, _, pictures = answer.partition(b"\n")
        about = json.loads(line)
        if "refused" in about:
            raise OF_DECODING[about["refused"]](str(about["detail"]))
        split = int(about["jpeg_bytes"])
        place = about["place"]
        return ProcessedPhoto(
            jpeg=pictures[:split],
            thumbnail=pictures[split:],
            width=int(about["width"]),
            height=int(about["height"]),
            sha256=str(about["sha256"]),
            phash=str(about["phash"]),
            place=None if place is None else Place(float(place["lng"]), float(place["lat"])),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Garbled(type(error).__name__) from error
