"""Cells of a map's table as codes, names, levels and yes or no, whatever type the file keeps them in."""

import numpy as np

from shared.geo.codes import LEVELS

# Words and numbers that tools write for yes and no; a logical field of a .dbf holds one letter
_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "1", "是"), True) | dict.fromkeys(
    ("", "false", "f", "no", "n", "0", "?", "否"), False
)
# Beyond these not every whole number is a float of its own
_EXACT_MAX, _EXACT_SINGLE_MAX = 2.0**53, 2.0**24


def name_of(value: object) -> str | None:
    """A name as text; it identifies nothing, so a number may be rounded."""
    return None if _is_null(value) else str(value).strip() or None


def text_of(value: object) -> str | None:
    """A code as text: whole numbers without a decimal point, nothing for nulls and blanks.

    Raises:
        ValueError: a number that may have lost digits on its way (a field of numbers holds 15 of them, a short one 7),
            or yes or no.
    """
    if _is_null(value):
        return None
    if isinstance(value, bool | np.bool_):
        raise ValueError(f"{str(value).lower()} is no code: the field says yes or no")
    if isinstance(value, float | np.floating):  # numpy's of 64 bits are floats, its shorter ones aren't
        number = float(value)
        if abs(number) >= (_EXACT_MAX if isinstance(value, float) else _EXACT_SINGLE_MAX):
            raise ValueError(f"{number:.0f} is a number too long to be exact: store codes as text and export again")
        value = int(number) if number.is_integer() else number
    return str(value).strip() or None


def level_of(value: object) -> str | None:
    """The level that a cell names, in whatever case; nothing for nulls and blanks.

    Raises:
        ValueError: it is none.
    """
    text = text_of(value)
    if text is None:
        return None
    if text.lower() not in LEVELS:
        raise ValueError(f"level {text!r:.40} is none of {', '.join(LEVELS)}")
    return text.lower()


def boolean(field_name: str, value: object) -> bool:
    """Yes or no, in any of the ways that tools write it; nothing for nulls is no.

    Raises:
        ValueError: anything else: "false" is a word that is there, and no yes.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    text = text_of(value)
    found = _BOOLEANS.get("" if text is None else text.lower())
    if found is None:
        raise ValueError(f"{field_name} is {text!r:.40}: write true or false")
    return found


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
