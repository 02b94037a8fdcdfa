"""The perceptual hash of a photo, without a numerics library: it would triple what a decoding process weighs."""

import math
from statistics import median

from PIL import Image

SIDE = 32
LOW = 8
_BASIS = [[math.cos(math.pi * k * (2 * n + 1) / (2 * SIDE)) for n in range(SIDE)] for k in range(LOW)]


def phash(image: Image.Image) -> str:
    """64 bits in hexadecimal: which of the 8 × 8 lowest frequencies are above their median.

    The common method (Krawetz, "Looks like it", 2011; `imagehash.phash`): shrink to 32 × 32 grey, cosine transform II.
    """
    pixels = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS).tobytes()
    columns = [[sum(_BASIS[k][n] * pixels[n * SIDE + x] for n in range(SIDE)) for x in range(SIDE)] for k in range(LOW)]
    # rounded, so that an even surface, whose frequencies are all 0 but for noise, has one hash
    low = [round(sum(basis[x] * row[x] for x in range(SIDE)), 6) for row in columns for basis in _BASIS]
    middle = median(low)
    bits = sum((value > middle) << (63 - place) for place, value in enumerate(low))
    return f"{bits:016x}"
