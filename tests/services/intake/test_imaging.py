"""Photos: what is no photo, what is too big, and that nothing but pixels survives."""

import contextlib
import io
import random
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import imagehash
import pytest
from PIL import ExifTags, Image, ImageChops

from services.intake import domain
from services.intake.usecases.decoding.hashing import phash
from services.intake.usecases.decoding.headers import check_jpeg, webp_canvas
from services.intake.usecases.decoding.pixels import process
from shared.kit.refusals import Refusal


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


def chunk(kind: bytes, data: bytes) -> bytes:
    """One of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def blank_png(width: int, height: int, colour: int = 2) -> bytes:
    """A whole PNG of zeros, made without Pillow's patient encoder; colour 2 is RGB, 6 with transparency."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    rows = zlib.compress(bytes((width * (3 if colour == 2 else 4) + 1) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans() -> bytes:
    """A JPEG that asks for 349,000 passes over 16 million pixels: an hour of a processor in 4 MB."""
    content = encoded(Image.new("L", (4_000, 4_000), "grey"), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last[:12] * 349_000 + b"\xff\xd9"


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims any size: a decompression bomb."""

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00" * 100_000)) + chunk(b"IEND", b"")


def refusal(content: bytes) -> str:
    with pytest.raises(Refusal) as caught:
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
    assert (photo.width, photo.height) == (1500, 2000)  # decoded at its half, which is enough


def test_transparency_becomes_white() -> None:
    photo = process(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG"))
    assert Image.open(io.BytesIO(photo.jpeg)).getpixel((5, 5)) == (255, 255, 255)


def test_not_an_image() -> None:
    assert refusal(b"<html>no photo</html>") == "not_an_image"
    assert refusal(b"\xff\xd8\xff") == "not_an_image"
    assert refusal(encoded(picture(), "GIF")) == "not_an_image"


def test_too_many_pixels_are_refused_from_the_header() -> None:
    assert refusal(png_claiming(8_001, 8_001)) == "too_many_pixels"
    assert refusal(png_claiming(60_000, 60_000)) == "too_many_pixels"
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00" * 4
    assert refusal(webp + b"\xff\x3f\x00\xff\x3f\x00") == "too_many_pixels"


def test_truncated_and_damaged() -> None:
    content = encoded(picture(2000, 1500), "JPEG")
    assert refusal(content[: len(content) // 2]) == "photo_truncated"
    assert refusal(png_claiming(300, 300)[:200]) in ("photo_truncated", "photo_damaged")


@pytest.mark.parametrize("kind", ["JPEG", "HEIC", "PNG"])
def test_photos_of_48_megapixels_are_taken(kind: str) -> None:
    if kind == "PNG":
        content = blank_png(8_064, 6_048)
    elif kind == "JPEG":
        content = encoded(Image.new("RGB", (8_064, 6_048), "grey"), kind)
    else:  # one colour in 192 tiles, as phones write them, kept because x265 takes a minute for it
        content = (Path(__file__).parent / "48_megapixels.heic").read_bytes()
    photo = process(content)
    assert 1_920 <= photo.width <= 2_048
    assert photo.height == photo.width * 3 // 4


def test_a_webp_or_a_progressive_jpeg_may_be_less_large() -> None:
    """Their decoders hold several copies, or all coefficients until the last scan."""
    assert refusal(encoded(Image.new("L", (4_100, 4_000)), "WEBP", method=0)) == "photo_too_heavy"
    progressive = encoded(Image.new("RGB", (7_500, 7_500)), "JPEG", progressive=True, subsampling=0)
    assert refusal(progressive) == "photo_too_heavy"


@pytest.mark.parametrize(
    ("form", "options"),
    [(b"VP8 ", {"quality": 60}), (b"VP8L", {"lossless": True}), (b"VP8X", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"})],
)
def test_each_form_of_webp_is_refused_by_its_size_before_it_is_opened(
    form: bytes, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open one takes memory for all its pixels: a process without it would only say that it is no image."""
    content = encoded(Image.new("RGB", (5_712, 4_284), "grey"), "WEBP", method=0, **options)
    assert content[12:16] == form
    assert webp_canvas(content) == (5_712, 4_284)
    monkeypatch.setattr(Image, "open", None)
    assert refusal(content) == "photo_too_heavy"


def test_several_pictures_in_one_file_are_the_first() -> None:
    content = encoded(picture(4032, 3024), "MPO", save_all=True, append_images=[picture(200, 150)])
    photo = process(content)
    assert (photo.width, photo.height) == (2016, 1512)


def test_a_picture_of_strips_is_the_picture() -> None:
    """Neither gap nor shift where strips meet: it equals what is shrunk in one go."""
    whole = picture(6_500, 1_100).rotate(30)
    made = Image.open(io.BytesIO(process(encoded(whole, "PNG")).jpeg)).convert("L")
    asked = whole.convert("L").resize(made.size, Image.Resampling.LANCZOS)
    assert max(ImageChops.difference(made, asked).resize((64, 12), Image.Resampling.BOX).tobytes()) <= 4


@pytest.mark.parametrize("seed", range(10))
def test_the_hash_is_the_common_one(seed: int) -> None:
    """A thousand pictures of all kinds and sizes: soft and hard, grey and in colour, flat in parts, turned."""
    draw = random.Random(seed)
    for _ in range(100):
        coarse = Image.effect_noise((draw.randint(4, 60), draw.randint(4, 60)), draw.uniform(20, 120))
        small = coarse.resize((draw.randint(33, 400), draw.randint(33, 400)), Image.Resampling.BICUBIC)
        small = small.rotate(draw.uniform(0, 360), expand=draw.random() < 0.5, fillcolor=draw.randint(0, 255))
        if draw.random() < 0.5:
            turned = small.transpose(Image.Transpose.ROTATE_180)
            small = Image.merge("RGB", (small, small.point(lambda v: 255 - v), turned))
        assert phash(small) == str(imagehash.phash(small))


def test_an_even_picture_has_one_hash() -> None:
    assert phash(Image.new("L", (320, 240), 90)) == phash(Image.new("L", (320, 240), 200)) == "8000000000000000"


def test_scans_are_counted_before_a_pixel_is_decoded() -> None:
    ordinary = encoded(picture(), "JPEG", progressive=True)
    check_jpeg(ordinary)
    start = ordinary.rindex(b"\xff\xda")
    last = ordinary[start:-2]
    assert process(ordinary[:-2] + last * 50 + b"\xff\xd9").width == 640
    assert refusal(ordinary[:-2] + last * 100 + b"\xff\xd9") == "photo_too_heavy"


def test_scans_cost_by_the_pixels_that_each_passes_over() -> None:
    """99 scans of 64 megapixels in a file of 260 kB kept a process for more than ten seconds."""
    content = encoded(Image.new("L", (8_000, 8_000), "grey"), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    ordinary = check_jpeg(content)
    assert refusal(content[:-2] + last[:12] * (99 - ordinary) + b"\xff\xd9") == "photo_too_heavy"
    assert process(content).width == 2_000


def test_a_jpeg_of_349_000_scans_is_refused_at_once() -> None:
    content = many_scans()
    assert 349_000 * 12 < len(content) < domain.PHOTO_BYTES_MAX
    assert refusal(content) == "photo_too_heavy"


def test_a_jpeg_of_a_million_segments_is_refused_at_once() -> None:
    assert refusal(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000 + b"\xff\xd9") == "photo_too_heavy"


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_what_a_png_says_beside_its_pixels_is_bounded(kind: bytes) -> None:
    """16 MB of zeros, a thousandth of it as a file, unpacked into words or a colour profile."""
    said = chunk(kind, b"name\x00\x00" + zlib.compress(bytes(16_000_000)))
    head, rest = (content := encoded(picture(), "PNG"))[:33], content[33:]
    tracemalloc.start()
    try:
        with contextlib.suppress(Refusal):
            process(head + said + rest)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
