"""A QR code's picture shows each module of the code, and nothing that a page's policy would stop."""

import re

import pytest
import segno

from shared.kit.http.qr import qr_svg

SEGMENT = re.compile(r"([mMh])(-?[\d.]+)(?:[ ]?(-?[\d.]+))?")


def dark_modules(svg: str) -> set[tuple[int, int]]:
    """Row and column of each dark module, as a renderer would paint the lines of the path."""
    [path] = re.findall(r'stroke="#000" d="([^"]+)"', svg)
    found: set[tuple[int, int]] = set()
    x = y = 0.0
    for way, first, second in SEGMENT.findall(path):
        if way == "h":
            found |= {(int(y), int(x) + step) for step in range(int(first))}
            x += float(first)
        elif way == "M":
            x, y = float(first), float(second)
        else:
            x, y = x + float(first), y + float(second)
    return found


@pytest.mark.parametrize(
    "text", ["BEEGRID-VOUCHER:23456789ABCDE", "http://127.0.0.1:8080/v1/statements/x/verify?digest=0f"]
)
def test_the_picture_is_the_code(text: str) -> None:
    svg = qr_svg(text, "扫码 <核验> / scan")
    matrix = segno.make(text, error="m", micro=False, boost_error=False).matrix
    wanted = {(row, column) for row, line in enumerate(matrix) for column, dark in enumerate(line) if dark}
    assert {(row - 4, column - 4) for row, column in dark_modules(svg)} == wanted
    assert "<title>扫码 &lt;核验&gt; / scan</title>" in svg
    assert not re.search(r"style|script|class=|href", svg)
