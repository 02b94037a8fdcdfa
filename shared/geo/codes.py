"""The national numbering of areas: 4 digits a city, 6 a district, 9 a street, 12 a community, 15 a grid."""

LEVELS = ("city", "district", "street", "community", "grid")
DIGITS = (4, 6, 9, 12, 15)


def is_national(code: str) -> bool:
    """Whether a code has the form of the national numbering."""
    return len(code) in DIGITS and code.isascii() and code.isdigit()


def parent(code: str, level: str) -> str | None:
    """The parent's code of an area of that level; None above a city or where the code isn't made of digits.

    A city may number its grids with more digits than the nation does: what stands above them still follows.
    """
    place = LEVELS.index(level)
    if place == 0 or not (code.isascii() and code.isdigit()):
        return None
    digits = DIGITS[place - 1]
    return code[:digits] if len(code) > digits else None


def above(code: str) -> tuple[str, ...]:
    """The codes above one by the national numbering, the city first; none where it isn't of that numbering."""
    return tuple(code[:digits] for digits in DIGITS if digits < len(code)) if is_national(code) else ()
