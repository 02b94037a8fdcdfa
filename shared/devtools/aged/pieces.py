"""The statements of sql/*.sql."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shared.kit.postgres.db import Connection

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Statement:
    """One statement with places for values: $1 and $2 are a chunk's where it is run for each chunk."""

    text: str

    @cached_property
    def table(self) -> str:
        """What it inserts into, with its schema; empty for any other statement."""
        found = re.match(r"\s*INSERT INTO (\w+\.\w+)", self.text)
        return found[1] if found else ""

    @cached_property
    def places(self) -> int:
        """How many values it takes."""
        return max((int(place) for place in re.findall(r"\$(\d+)", self.text)), default=0)

    @property
    def by_chunk(self) -> bool:
        """Whether it fills a chunk at a time."""
        return self.places >= 2

    @property
    def needs_order(self) -> bool:
        """Whether it reads the accounts' order, which is made last."""
        return "aged.ordered" in self.text or "aged.redemptions" in self.text

    async def run(self, conn: Connection, *values: object) -> None:
        """Run it with as many of the values as it has places."""
        await conn.execute(self.text, *values[: self.places])


def statements(name: str, **names: object) -> Sequence[Statement]:
    """Those of a file, with `names` put where it has them in braces."""
    text = "\n".join(
        line for line in (SQL / f"{name}.sql").read_text("utf-8").splitlines() if not line.startswith("--")
    )
    if names:
        text = text.format(**names)
    return [Statement(one) for one in text.split(";\n") if one.strip()]
