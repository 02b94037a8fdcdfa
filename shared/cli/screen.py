"""What the commands show: words of other people's are shown as they are, and never act on the terminal.

Keys, codes and names come from companies and from files. Read as markup, `[/x]` would end a command, and an escape
sequence would reach the operator's terminal. So every table and console of the commands is one of these.
"""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# Controls, and what nobody sees or what turns the direction of the rest of the line; half of a pair is no character.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_LAYOUT = frozenset("\n\t")


def visible(text: str, keep: frozenset[str] = frozenset()) -> str:
    """The text with everything that would act on a terminal written out (`\\x1b`), less what is to be kept."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _written_out(found[0]), text)


def shown(value: object) -> str:
    """Somebody's words inside a line of ours that has markup."""
    return escape(visible(str(value)))


class Cells(Table):
    """A table whose cells are words, never markup; a `Text` is a cell of ours with its own style."""

    def add_row(self, *cells: RenderableType | None, **how: Any) -> None:
        """As rich's own, with each string as it is."""
        super().add_row(*(Text(visible(cell)) if isinstance(cell, str) else cell for cell in cells), **how)


class Screen(Console):
    """A console on which controls are written out, and what is no markup is shown instead of ending the command."""

    def __init__(self, **how: Any) -> None:
        super().__init__(emoji=False, **how)

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich's own. Words of others inside a line with markup go through `shown`."""
        safe = [visible(one, _LAYOUT) if isinstance(one, str) else one for one in objects]
        try:
            super().print(*safe, **how)
        except MarkupError:
            super().print(*safe, **{**how, "markup": False})


secret_out = Screen(width=200, soft_wrap=True)
"""For what is shown once. Wider than any terminal: a wrapped secret can't be copied."""


def show_secret(what: str, secret: str) -> None:
    """The only time that anybody sees it."""
    secret_out.print(f"{what}，仅显示一次 / shown only now:", style="bold", highlight=False)
    secret_out.print(secret, highlight=False)


def show_lines(lines: Iterable[str]) -> None:
    """Lines that somebody copies: as they are, nothing in them is markup, none is broken."""
    for line in lines:
        secret_out.print(line, markup=False, highlight=False)


def progress_bars(screen: Screen, *more: ProgressColumn) -> Progress:
    """Bars with what is done of how much, and for how long."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *more)
    return Progress(*columns, console=screen)


def folding(*titles: str) -> Cells:
    """A table that breaks long values instead of cutting them: half a topic's name names none."""
    table = Cells(*titles)
    for column in table.columns:
        column.overflow = "fold"
    return table


def _written_out(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
