"""Why an upload is no photo that can be used."""

from services.intake import domain


class PhotoRefused(Exception):
    """The upload is no photo that can be used: `code`, a title for people, detail."""

    def __init__(self, code: str, title: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.title = title
        self.detail = detail


def too_many_pixels() -> PhotoRefused:
    """More than any camera of today's phones makes."""
    detail = f"at most {domain.PIXELS_MAX // 1_000_000} megapixels"
    return PhotoRefused("too_many_pixels", "照片像素过多 / Too many pixels", detail)


def too_heavy() -> PhotoRefused:
    """Small or large, it needs more memory or time than a photo may."""
    detail = "decoding it takes more memory, time or scans than a photo may; save it again as a plain JPEG"
    return PhotoRefused("photo_too_heavy", "照片解码代价过高 / Photo too heavy to decode", detail)


def not_an_image() -> PhotoRefused:
    """No format that is taken."""
    return PhotoRefused("not_an_image", "不是可用的图片 / Not an image", "a JPEG, PNG, WebP or HEIC photo is needed")


def truncated() -> PhotoRefused:
    """An upload that broke off."""
    return PhotoRefused("photo_truncated", "照片不完整 / Photo incomplete", "the file ends too early")


def damaged() -> PhotoRefused:
    """Its header is fine, its data isn't."""
    return PhotoRefused("photo_damaged", "照片已损坏 / Photo damaged", "the pixels can't be decoded")


_BY_CODE = {make().code: make for make in (too_many_pixels, too_heavy, not_an_image, truncated, damaged)}


def refusal(code: str) -> PhotoRefused:
    """The refusal that has this code. Raises KeyError: none has."""
    return _BY_CODE[code]()
