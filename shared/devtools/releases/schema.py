"""Expand and contract: the release before works on this schema, so that it can go on beside this one, or come back.

Its pods serve while the set-up job migrates and until the last of them is replaced, and a rollback brings them back to
a database that has been migrated. So a migration may add; what the former release still uses goes with the next one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from shared.devtools.installation import Installation
from shared.devtools.releases import collect, history

LONGEST_S = 300
INSERT = re.compile(
    r'INSERT\s+INTO\s+(?:"?\w+"?\.)?"?(?P<table>\w+)"?(?:\s+AS\s+\w+)?\s*\((?P<columns>[\w\s,"]+)\)', re.IGNORECASE
)
PLANNED = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\b", re.IGNORECASE)
SQL_REQUIRED = """
SELECT c.relname AS table, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
GROUP BY 1
"""
Statements = Mapping[str, Mapping[str, str]]
"""service → name → SQL"""


def statements_of(root: Path, ref: str) -> Statements:
    """What a release runs, from its own code.

    Raises:
        NoHistory: there is no such commit.
        RuntimeError: its code can't be imported with today's packages; the text has the traceback.
    """
    with tempfile.TemporaryDirectory(prefix="beegrid-release-") as name:
        history.unpack(root, ref, Path(name), "services", "shared")
        done = subprocess.run(
            [sys.executable, "-P", collect.__file__], cwd=name, env={"PATH": "", "PYTHONPATH": name},
            capture_output=True, text=True, check=False, timeout=LONGEST_S,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{ref}: its statements can't be had:\n{done.stderr[-2000:]}")
    found: Statements = json.loads(done.stdout)
    return found


async def faults(installation: Installation, former: Statements) -> list[str]:
    """The former release's statements that fail on an installation's schema, each with Postgres' reason.

    Prepared and planned under the service's own role: names and rights are judged. A row that lacks a column which must
    have a value now is no matter of preparing, so columns of INSERTs are compared with those. A changed type or a
    stricter CHECK is found by `run_former_tests`, if squawk has let it into a migration.
    """
    found: list[str] = []
    for service, statements in sorted(former.items()):
        if service not in installation.services:
            found.append(f"{service}: the service is gone while its former release may still run")
            continue
        conn = await asyncpg.connect(installation.dsn(service))
        try:
            rows = await conn.fetch(SQL_REQUIRED, service)
            required = {row["table"]: set(row["columns"]) for row in rows}
            for name, text in sorted(statements.items()):
                found += [f"{service}: {name}: {fault}" for fault in await _faults(conn, text, required)]
        finally:
            await conn.close()
    return found


async def _faults(conn: asyncpg.Connection, text: str, required: Mapping[str, set[str]]) -> list[str]:
    try:
        await conn.prepare(text)
        if PLANNED.match(text):  # rights on tables are looked at when a plan begins, and not before
            await conn.execute(f"EXPLAIN (GENERIC_PLAN) {text}")
    except asyncpg.PostgresError as error:
        return [f"{type(error).__name__}: {error}"]
    return [
        f"{insert['table']}.{column} must have a value now, and this gives it none"
        for insert in INSERT.finditer(text)
        for column in sorted(required.get(insert["table"], set()) - _names(insert["columns"]))
    ]


def _names(columns: str) -> set[str]:
    return {name.strip().strip('"') for name in columns.split(",")}


def run_former_tests(root: Path, ref: str, words: Sequence[str]) -> int:
    """The release's own tests of its own code, on this tree's migrations; pytest's exit status.

    Raises:
        NoHistory: there is no such commit.
    """
    with tempfile.TemporaryDirectory(prefix="beegrid-release-") as name:
        former = Path(name)
        history.unpack(root, ref, former)
        for folder in {Path(path).parent for path in history.migrations_at(root, ref)}:
            shutil.rmtree(former / folder)
        for path, text in history.migrations_now(root).items():
            if (former / path).parents[1].is_dir():  # a service that is new has nobody there who would run it
                (former / path).parent.mkdir(parents=True, exist_ok=True)
                (former / path).write_bytes(text)
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
        done = subprocess.run(command, cwd=name, env=_environment(name), check=False)
    return done.returncode


def _environment(folder: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", history.ENVIRONMENT)}
    return {**kept, "PYTHONPATH": folder}
