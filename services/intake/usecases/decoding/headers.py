"""What a photo's file says of itself, read without decoding a pixel."""

import re

JPEG_SCANS_MAX = 100
"""Progressive photos have about ten. Each scan costs a pass over all pixels, however few bytes it has."""
JPEG_SEGMENTS_MAX = 2_000
"""Phones write some dozens: one a kilobyte of a motion photo's or a profile's description at most."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
# an escaped 0xFF, fill bytes and restarts are part of a scan's own data
_NEXT_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")


class TooManyScans(Exception):
    """Decoding would pass over the picture more often than any camera or program asks for."""


def check_jpeg(content: bytes) -> int:
    """How many scans a JPEG has, counted by walking from marker to marker; 0 for anything else.

    Raises:
        TooManyScans: more than JPEG_SCANS_MAX scans or JPEG_SEGMENTS_MAX segments.
    """
    if content[:2] != b"\xff\xd8":
        return 0
    scans = segments = 0
    at = 2
    while (found := _NEXT_MARKER.search(content, at)) is not None:
        marker, at = content[found.end() - 1], found.end()
        if marker == _END:
            return scans
        if marker == _START:
            continue
        segments += 1
        scans += marker == _SCAN
        if scans > JPEG_SCANS_MAX or segments > JPEG_SEGMENTS_MAX:
            raise TooManyScans
        at += int.from_bytes(content[at : at + 2], "big")
    return scans


def webp_canvas(content: bytes) -> tuple[int, int]:
    """Width and height that a WebP claims, since opening one already reserves its canvas; (0, 0) for anything else."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return 0, 0
    form, head = content[12:16], content[20:30]
    if form == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if form == b"VP8L":
        sides = int.from_bytes(head[1:5], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if form == b"VP8 ":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return 0, 0
