"""Photos: what is no photo, what is too big, and that nothing but pixels survives."""

import asyncio
import io
import struct
import zlib

import pytest
from PIL import ExifTags, Image

from services.intake.usecases.imaging import PhotoQueueFull, PhotoRefused, PhotoWorkers, process


def picture(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    return Image.radial_gradient("L").resize((width, height)).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gps(lat: float, lng: float) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canary Phone"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N" if lat >= 0 else "S",
            ExifTags.GPS.GPSLatitude: (abs(lat) // 1, (abs(lat) % 1 * 60) // 1, abs(lat) * 60 % 1 * 60),
            ExifTags.GPS.GPSLongitudeRef: "E" if lng >= 0 else "W",
            ExifTags.GPS.GPSLongitude: (abs(lng) // 1, (abs(lng) % 1 * 60) // 1, abs(lng) * 60 % 1 * 60),
        }
    )
    return exif


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims any size: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00" * 100_000)) + chunk(b"IEND", b"")


def refusal(content: bytes) -> str:
    with pytest.raises(PhotoRefused) as caught:
        process(content)
    return caught.value.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_every_format_becomes_a_jpeg(kind: str) -> None:
    photo = process(encoded(picture(), kind))
    image = Image.open(io.BytesIO(photo.jpeg))
    assert (image.format, image.size) == ("JPEG", (640, 480))
    assert Image.open(io.BytesIO(photo.thumbnail)).size == (320, 240)
    assert len(photo.sha256) == 64 and len(photo.phash) == 16


def test_the_place_is_read_and_everything_else_dropped() -> None:
    content = encoded(picture(), "JPEG", exif=gps(30.5931044, -114.3053942), comment=b"Canary comment")
    photo = process(content)
    assert photo.place is not None
    assert (photo.place.lat, photo.place.lng) == pytest.approx((30.5931044, -114.3053942), abs=1e-5)
    for made in (photo.jpeg, photo.thumbnail):
        assert b"Canary" not in made and b"Exif" not in made
        assert not Image.open(io.BytesIO(made)).getexif()


def test_nonsense_in_exif_is_no_place() -> None:
    assert process(encoded(picture(), "JPEG", exif=gps(0, 0))).place is None
    assert process(encoded(picture(), "JPEG")).place is None


def test_it_is_turned_upright_and_shrunk() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = process(encoded(picture(4000, 3000), "JPEG", exif=exif))
    assert (photo.width, photo.height) == (1536, 2048)


def test_transparency_becomes_white() -> None:
    photo = process(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG"))
    assert Image.open(io.BytesIO(photo.jpeg)).getpixel((5, 5)) == (255, 255, 255)


def test_not_an_image() -> None:
    assert refusal(b"<html>no photo</html>") == "not_an_image"
    assert refusal(b"\xff\xd8\xff") == "not_an_image"
    assert refusal(encoded(picture(), "GIF")) == "not_an_image"


def test_too_many_pixels_are_refused_from_the_header() -> None:
    assert refusal(encoded(Image.new("L", (6000, 5000)), "PNG")) == "too_many_pixels"  # 30 MP
    assert refusal(png_claiming(60_000, 60_000)) == "too_many_pixels"
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00" * 4
    assert refusal(webp + b"\xff\x3f\x00\xff\x3f\x00") == "too_many_pixels"


def test_truncated_and_damaged() -> None:
    content = encoded(picture(2000, 1500), "JPEG")
    assert refusal(content[: len(content) // 2]) == "photo_truncated"
    assert refusal(png_claiming(300, 300)[:200]) in ("photo_truncated", "photo_damaged")


async def test_more_than_the_queue_holds_is_refused_at_once() -> None:
    workers = PhotoWorkers(workers=1, queue_max=2)
    content = encoded(picture(3000, 2000), "JPEG")
    tasks = [asyncio.create_task(workers.process(content)) for _ in range(5)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, PhotoQueueFull) for one in results) == 3
    await asyncio.sleep(0.01)
    await workers.process(content)
    await workers.stop()


async def test_the_loop_goes_on_while_a_photo_is_decoded() -> None:
    workers = PhotoWorkers(workers=1, queue_max=2)
    task = asyncio.create_task(workers.process(encoded(picture(4000, 3000), "JPEG")))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 5
    await workers.stop()
