"""A photo remade from its pixels: whatever else was in the file is gone. Blocking; runs in a decoding process."""

import hashlib
import io
import warnings
from collections.abc import Callable

import pillow_heif
from PIL import ExifTags, Image, JpegImagePlugin

from services.intake import domain, problems
from services.intake.domain import Place, ProcessedPhoto
from services.intake.usecases.decoding.hashing import phash
from services.intake.usecases.decoding.headers import TooManyScans, check_jpeg, webp_canvas

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
SIDE_MAX = 2_048
SIDE_ENOUGH = 1_920
"""A little less, so that 4,032 pixels, the commonest width, are decoded at their half."""
THUMBNAIL_SIDE_MAX = 320
JPEG_QUALITY = 85
STRIP_ROWS = 256
WEBP_PIXELS_MAX = 16_000_000
"""Its decoder holds 20 bytes a pixel."""
COEFFICIENT_BYTES_MAX = 300_000_000
"""Of a progressive JPEG, which is kept whole until its last scan: 50 megapixels in full colour."""
SCANNED_PIXELS_MAX = 800_000_000
"""Pixels of a JPEG times its scans: twelve of 64 megapixels. Each scan is a pass over all of them."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)


def process(content: bytes) -> ProcessedPhoto:
    """Check, decode, shrink, turn upright, encode; blocking.

    Args:
        content: the file as uploaded.

    Raises:
        Refusal: not a JPEG, PNG, WebP or HEIC, too many pixels or scans, or damaged.
        MemoryError: this process may not use as much as it needs.
    """
    image = _opened(content)
    place, orientation = _place(image), _orientation(image)
    try:
        picture = _shrunk(image, content)
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        text = str(error).lower()
        if "memory" in text or "security limit" in text:
            raise MemoryError from error
        if "truncated" in text or isinstance(error, EOFError):
            raise problems.PHOTO_TRUNCATED() from error
        raise problems.PHOTO_DAMAGED() from error
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    small = picture.copy()
    small.thumbnail((THUMBNAIL_SIDE_MAX, THUMBNAIL_SIDE_MAX), Image.Resampling.LANCZOS)
    return ProcessedPhoto(
        jpeg=_encoded(picture),
        thumbnail=_encoded(small),
        width=picture.width,
        height=picture.height,
        sha256=hashlib.sha256(content).hexdigest(),
        phash=phash(small),
        place=place,
    )


def _opened(content: bytes) -> Image.Image:
    """The image with only its header read; its size and scans are checked."""
    try:
        scans = check_jpeg(content)
    except TooManyScans as error:
        raise problems.PHOTO_TOO_HEAVY() from error
    width, height = webp_canvas(content)
    _check_pixels(width, height)
    if width * height > WEBP_PIXELS_MAX:
        raise problems.PHOTO_TOO_HEAVY()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise problems.TOO_MANY_PIXELS(f"at most {domain.PIXELS_MAX // 1_000_000} megapixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        raise problems.NOT_AN_IMAGE() from error
    _check_pixels(image.width, image.height)
    if scans * image.width * image.height > SCANNED_PIXELS_MAX:
        raise problems.PHOTO_TOO_HEAVY()
    _check_copies(image)
    return image


def _check_pixels(width: int, height: int) -> None:
    if width * height > domain.PIXELS_MAX:
        raise problems.TOO_MANY_PIXELS(f"at most {domain.PIXELS_MAX // 1_000_000} megapixels")


def _check_copies(image: Image.Image) -> None:
    """Where a decoder fails for want of memory it says no more than that it fails: so say it before."""
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("progressive"):
        samples = [across * down for _, across, down, _ in image.layer]
        if 2 * image.width * image.height * sum(samples) / max(samples) > COEFFICIENT_BYTES_MAX:
            raise problems.PHOTO_TOO_HEAVY()


def _shrunk(image: Image.Image, content: bytes) -> Image.Image:
    """RGB pixels on white, at most SIDE_MAX each way, in a new image: an old one's comments would be written too.

    Of the whole picture only the decoder's own copy is ever in memory; strips of it are made RGB and smaller in turn.
    """
    if image.format == "HEIF":
        heif = pillow_heif.open_heif(content)
        pixels, size, mode, stride = heif.data, heif.size, heif.mode, heif.stride

        def strip(top: int, bottom: int) -> Image.Image:
            part = pixels[top * stride : bottom * stride]
            return Image.frombuffer(mode, (size[0], bottom - top), part, "raw", mode, stride, 1)
    else:
        if isinstance(image, JpegImagePlugin.JpegImageFile):  # so are the several pictures in one (MPO) of some phones
            image.draft("RGB", _enough(image.size))  # decodes at a half, a quarter or an eighth where that is enough
        image.load()
        size = image.size

        def strip(top: int, bottom: int) -> Image.Image:
            return image.crop((0, top, size[0], bottom))

    return _assembled(size, strip)


def _enough(size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size that is worth decoding, in the picture's own proportions."""
    longer = max(*size, SIDE_ENOUGH)
    return max(1, size[0] * SIDE_ENOUGH // longer), max(1, size[1] * SIDE_ENOUGH // longer)


def _assembled(size: tuple[int, int], strip: Callable[[int, int], Image.Image]) -> Image.Image:
    """The picture from its strips of rows."""
    width, height = size
    factor = max(1, max(size) // SIDE_MAX)
    picture = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = STRIP_ROWS * factor
    for top in range(0, height, rows):
        part = _flat(strip(top, min(top + rows, height)))
        picture.paste(part.reduce(factor) if factor > 1 else part, (0, top // factor))
    picture.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS)
    return picture


def _flat(part: Image.Image) -> Image.Image:
    """RGB; what shows through becomes white."""
    if part.mode in ("RGBA", "LA", "PA") or "transparency" in part.info:
        part = part.convert("RGBA")
        flat = Image.new("RGB", part.size, "white")
        flat.paste(part, mask=part.getchannel("A"))
        return flat
    return part.convert("RGB")


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (KeyError, TypeError, ValueError, OSError, SyntaxError, IndexError, OverflowError):
        return 1


def _place(image: Image.Image) -> Place | None:
    """Where the phone says it was; None without a readable place, for EXIF holds whatever the sender likes."""
    try:
        gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        lat = _degrees(gps[ExifTags.GPS.GPSLatitude], str(gps[ExifTags.GPS.GPSLatitudeRef]), "S")
        lng = _degrees(gps[ExifTags.GPS.GPSLongitude], str(gps[ExifTags.GPS.GPSLongitudeRef]), "W")
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OSError, SyntaxError, IndexError, OverflowError):
        return None
    # (0, 0) is what phones without a fix write; NaN fails the comparison
    if not (abs(lat) <= 90 and abs(lng) <= 180) or (lat == 0 and lng == 0):
        return None
    return Place(round(lng, 7), round(lat, 7))


def _degrees(parts: tuple[float, float, float], reference: str, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if reference.strip("\x00 ").upper() == negative else value
