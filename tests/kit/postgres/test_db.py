"""Which errors of the database pass by themselves, and which are the record's own fault."""

import asyncpg
import pytest

from shared.kit.postgres.db import is_transient


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.InterfaceError("connection is closed"),
        # seen when Postgres was killed between a connection's last answer and its next use
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        ConnectionRefusedError("111"),
        TimeoutError(),
    ],
)
def test_an_outage_passes_by_itself(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("duplicate key"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InternalClientError("unexpected number of attributes"),
        ValueError("poison"),
    ],
)
def test_a_defect_does_not(error: Exception) -> None:
    assert not is_transient(error)
