"""Postgres seen from outside, from tests without an event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg


def ask(dsn: str, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    """All rows of one statement, on a connection of its own."""

    async def run() -> list[tuple[Any, ...]]:
        conn = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
        try:
            if not arguments and ";" in sql:
                await conn.execute(sql)
                return []
            return [tuple(row) for row in await conn.fetch(sql, *arguments)]
        finally:
            await conn.close(timeout=5)

    # A thread: the test session's own loop must not see another one come and go.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()
