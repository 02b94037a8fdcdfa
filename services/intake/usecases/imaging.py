"""Photos made anew from their pixels, in worker threads: whatever else was in the file is gone."""

import asyncio
import contextlib
import hashlib
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import imagehash
import pillow_heif
from PIL import ExifTags, Image, ImageOps

from services.intake import domain, metrics
from services.intake.domain import Place, ProcessedPhoto
from shared.kit import clock

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
SIDE_MAX = 2_048
THUMBNAIL_SIDE_MAX = 320
JPEG_QUALITY = 85
pillow_heif.register_heif_opener(thumbnails=False)


class PhotoRefused(Exception):
    """The upload is no photo that can be used: `code`, a title for people, detail."""

    def __init__(self, code: str, title: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.title = title
        self.detail = detail


class PhotoQueueFull(Exception):
    """As many photos as may be in memory are being worked on."""


class PhotoWorkers:
    """Decodes and shrinks photos off the event loop; at most `queue_max` are in memory at once.

    Threads do: Pillow lets go of the interpreter while it decodes, resizes and encodes.
    """

    def __init__(self, workers: int, queue_max: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="photo")
        self._queue_max = queue_max
        self._in_work = 0

    async def process(self, content: bytes) -> ProcessedPhoto:
        """The photo made anew. Raises PhotoRefused, or PhotoQueueFull at once."""
        if self._in_work >= self._queue_max:
            raise PhotoQueueFull
        loop = asyncio.get_running_loop()
        self._in_work += 1
        metrics.PHOTOS_IN_WORK.set(self._in_work)
        started_s = clock.monotonic_s()
        future = self._threads.submit(process, content)
        # counted until the thread is really done, even if the caller has gone
        future.add_done_callback(lambda _: self._tell(loop))
        try:
            return await asyncio.wrap_future(future)
        finally:
            metrics.PHOTO_DURATION.observe(clock.monotonic_s() - started_s)

    async def stop(self) -> None:
        """Let running work finish, forget the rest."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile: nobody counts any more
            loop.call_soon_threadsafe(self._done)

    def _done(self) -> None:
        self._in_work -= 1
        metrics.PHOTOS_IN_WORK.set(self._in_work)


def process(content: bytes) -> ProcessedPhoto:
    """Check, decode, turn upright, shrink, encode; blocking.

    Args:
        content: the file as uploaded.

    Raises:
        PhotoRefused: not a JPEG, PNG, WebP or HEIC, too many pixels, or damaged.
    """
    image = _opened(content)
    try:
        place = _place(image)
        if image.format == "JPEG":
            image.draft("RGB", (SIDE_MAX, SIDE_MAX))  # decodes at half or a quarter where that is enough
        image.load()
        upright = _clean(image)
    except (OSError, SyntaxError, ValueError, MemoryError, EOFError) as error:
        text = str(error)
        if "truncated" in text or isinstance(error, EOFError):
            raise PhotoRefused("photo_truncated", "照片不完整 / Photo incomplete", "the file ends too early") from error
        raise PhotoRefused("photo_damaged", "照片已损坏 / Photo damaged", "the pixels can't be decoded") from error
    upright.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS)
    small = upright.copy()
    small.thumbnail((THUMBNAIL_SIDE_MAX, THUMBNAIL_SIDE_MAX), Image.Resampling.LANCZOS)
    return ProcessedPhoto(
        jpeg=_encoded(upright),
        thumbnail=_encoded(small),
        width=upright.width,
        height=upright.height,
        sha256=hashlib.sha256(content).hexdigest(),
        phash=str(imagehash.phash(small)),
        place=place,
    )


def _opened(content: bytes) -> Image.Image:
    """The image with only its header read, and its size checked."""
    _check_pixels(*_webp_canvas(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        detail = "a JPEG, PNG, WebP or HEIC photo is needed"
        raise PhotoRefused("not_an_image", "不是可用的图片 / Not an image", detail) from error
    _check_pixels(image.width, image.height)
    return image


def _webp_canvas(content: bytes) -> tuple[int, int]:
    """Width and height that an extended WebP claims, since opening one already reserves its canvas; else (0, 0)."""
    if content[:4] != b"RIFF" or content[8:16] != b"WEBPVP8X" or len(content) < 30:
        return 0, 0
    return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")


def _check_pixels(width: int, height: int) -> None:
    if width * height > domain.PIXELS_MAX:
        raise _too_many_pixels()


def _too_many_pixels() -> PhotoRefused:
    detail = f"at most {domain.PIXELS_MAX // 1_000_000} megapixels"
    return PhotoRefused("too_many_pixels", "照片像素过多 / Too many pixels", detail)


def _clean(image: Image.Image) -> Image.Image:
    """Upright RGB pixels on white, in a new image: comments and profiles of the old one would be written too."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        clean = Image.new("RGB", upright.size, "white")
        clean.paste(upright, mask=upright.getchannel("A"))
        return clean
    clean = Image.new("RGB", upright.size)
    clean.paste(upright.convert("RGB"))
    return clean


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


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
