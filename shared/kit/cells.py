"""Cells of CSV files that spreadsheets would take for formulas: neutral on the way out, as they were on the way in."""

import re

# Full-width signs too: a spreadsheet of East Asia reads them as the narrow ones. Blanks, tabs and line breaks before a
# sign don't hide it, and a tab or a carriage return alone is enough for some.
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@＝＋－﹣−＠])")


def neutral(cell: str) -> str:
    """An id's or word's cell as it may be written: an apostrophe before a formula's sign. `original` takes it away.

    Also before +8613800138000 and -1: a spreadsheet calculates with them, shows 8.61E+12 and saves that. Columns of
    numbers don't come here.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def original(cell: str) -> str:
    """The cell as it was before `neutral`; any other cell as it is."""
    if cell.startswith("'") and _FORMULA.match(cell[1:]):
        return cell[1:]
    return cell
