"""What the constraint on points says, in words that use cases may know."""

import contextlib
from collections.abc import Iterator

import asyncpg

CONSTRAINT = "within_points"


class OverGiven(Exception):
    """Points of all places are more than were given: the database has refused the row. Roll back after it."""


@contextlib.contextmanager
def within_points() -> Iterator[None]:
    """Raises OverGiven where the row of the statement inside would promise more points than there are."""
    try:
        yield
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != CONSTRAINT:
            raise
        raise OverGiven from None
