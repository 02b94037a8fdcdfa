"""The house's rules hold, and each of them bites."""

from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT
from shared.devtools.house.rules import RULES


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(rule: str) -> None:
    assert list(RULES[rule](ROOT)) == []


LONG_FUNCTION = "\n\ndef endless() -> None:\n" + "    pass\n" * 75
NEWCOMER = """from shared.kit.about import About, Size

ABOUT = About('新', 'new', '做', 'does', ('PATH',), limit='x', size=Size(pods_max=3))
"""
VIOLATIONS = {
    # rule → (file, text, what the violation says)
    "database_clock": [
        (
            "services/riders/usecases.py",
            "\nfrom shared.kit import clock\n\nX = clock.now()\n",
            "without `# process clock:",
        ),
        (
            "services/riders/usecases.py",
            "\nfrom shared.kit.clock import now\n\nX = now()\n",
            "without `# process clock:",
        ),
        ("services/riders/store.py", "\nfrom shared.kit import clock as c\n\nX = c.unix_s\n", "clock.unix_s without"),
        ("services/riders/api.py", "\nfrom shared.kit import clock\n\nX = clock.now()  # process clock:\n", "without"),
        (
            "services/riders/usecases.py",
            "\nfrom shared.kit.messaging.work import Work\n\nX = Work(None)\n",
            "take begin(conn)",
        ),
        ("shared/kit/ids.py", "\nfrom shared.kit.messaging.work import Work as W\n\nX = W(None)\n", "take begin(conn)"),
    ],
    "sql_place": [
        ("services/riders/usecases.py", '\nQUERY = "SELECT 1 FROM riders"\n', "outside store.py"),
        ("services/riders/api.py", '\nQUERY = f"UPDATE riders SET x = {1}"\n', "outside store.py"),
        ("services/riders/app.py", '\nQUERY = """\nWITH x AS (SELECT 1) SELECT * FROM x"""\n', "outside store.py"),
        ("services/riders/store.py", '\nQUERY = "DELETE FROM riders"\n', "no module constant"),
        ("shared/known/riders.py", '\nQUERY = "DELETE FROM known_riders"\n', "no module constant"),
        (
            "services/riders/store.py",
            '\ndef q() -> str:\n    return "DELETE FROM x"\n',
            "no module constant",
        ),
    ],
    "parameters": [
        ("services/riders/store.py", '\nSQL_X = "INSERT INTO x SELECT $9, $10"\n', "counts to $10"),
        ("services/riders/store.py", '\nSQL_X = f"UPDATE x SET y = {1}, z = $12::text"\n', "counts to $12"),
        ("shared/kit/ids.py", '\nSQL_X = Query(X, """\nSELECT * FROM x\nWHERE y = $11""")\n', "counts to $11"),
        ("shared/kit/ids.py", '\n_PART = "y = $100"\n', "counts to $100"),
    ],
    "city_zone": [
        (
            "services/riders/domain.py",
            "\nfrom datetime import timedelta, timezone\n\nCHINA = timezone(timedelta(hours=8))\n",
            "a fixed time zone",
        ),
        ("shared/kit/ids.py", '\nimport zoneinfo\n\nZ = zoneinfo.ZoneInfo("Asia/Shanghai")\n', "a fixed time zone"),
        ("shared/devtools/aged/sql/points.sql", "SELECT now() AT TIME ZONE 'Asia/Urumqi';\n", "zone in SQL"),
    ],
    "sizes": [
        ("services/riders/domain.py", "\n" * 401, "more than 400"),
        ("shared/kit/ids.py", LONG_FUNCTION, "more than 70"),
        ("tests/test_long.py", "\n" * 401, "more than 400"),
    ],
    "domain_pure": [
        ("services/riders/domain.py", "\nimport asyncpg\n", "imports asyncpg"),
        ("services/riders/domain.py", "\nfrom shared.kit import clock\n", "imports shared.kit.clock"),
        ("services/riders/domain.py", "\nfrom services.riders import store\n", "imports services.riders.store"),
        ("services/riders/domain.py", "\ndef f() -> None:\n    import asyncio\n", "imports asyncio"),
    ],
    "problems_place": [
        ("services/riders/domain.py", '\nX = Problem("a", 409, "甲", "A", "乙", "B")\n', "makes a Problem"),
        ("services/riders/api.py", "\nX = refusals.Refusal(NOT_FOUND)\n", "makes a Refusal"),
        ("shared/known/domain.py", "\nX = refusals.Refusal(NOT_FOUND)\n", "makes a Refusal"),
        ("services/riders/api.py", "\nfrom fastapi import HTTPException\n", "refuse with a problem"),
    ],
    "contracts_light": [
        ("shared/events/topic.py", "\nimport orjson\n", "imports orjson"),
        ("shared/events/common.py", "\nfrom shared.kit.ids import new_id\n", "imports shared.kit"),
    ],
    "suppressed": [
        (
            "shared/kit/ids.py",
            "\nimport contextlib\n\nwith contextlib.suppress(Exception):\n    pass\n",
            "suppresses everything",
        ),
    ],
    "reasons": [
        ("shared/kit/ids.py", "\nx = 1  # type: " + "ignore[misc]\n", "without a reason"),
        ("shared/kit/ids.py", "\nx = 1  # no" + "qa: S101\n", "without a reason"),
    ],
    "plain_names": [
        ("shared/kit/ids.py", "\ntold = 1\n", "instead of told"),
        ("shared/kit/ids.py", "\n\ndef f(untold: int) -> None:\n    pass\n", "untold: instead of untold"),
        ("services/riders/usecases.py", "\n\nasync def tell_company() -> None: ...\n", "tell_company: instead of tell"),
        ("shared/kit/ids.py", "\n\nclass ToldSoon: ...\n", "instead of told"),
        ("shared/kit/ids.py", "\n\ndef f(of) -> None:\n    of.was_mended = 1\n", "was_mended: instead of mended"),
        ("tests/test_words.py", "\nSEAL_ANEW = [teller for teller in ()]\n", "SEAL_ANEW: instead of anew"),
        ("tests/test_words.py", "\nimport asyncio as told\n", "instead of told"),
        ("tests/test_words.py", "\nX = 1  # twice as dear\n", "dear: say it plainly (expensive"),
        ("tests/test_words.py", '\n\ndef f() -> None:\n    """A rider, and\n    Himself."""\n', ":5: Himself: say"),
        ("tests/test_words.py", '\n\ndef f() -> None:\n    """His."""\n', "His: say it plainly (their)"),
        ("tests/test_words.py", '\nX = 1\n"""It shall be."""\n', ":3: shall: say it plainly (is to"),
    ],
    "screens": [
        ("shared/cli/riders.py", "\nfrom rich.table import Table\n", "rich.table.Table in a command"),
        (
            "shared/cli/riders.py",
            "\ndef f() -> None:\n    from rich.console import Console as C\n",
            "rich.console.Console",
        ),
        ("shared/cli/backup/commands.py", "\nimport rich.table as t\n", "rich.table in a command"),
        ("shared/cli/riders.py", "\nfrom rich import print\n", "rich.print in a command"),
        ("shared/cli/riders.py", "\nfrom rich import table\n", "rich.table in a command"),
    ],
    "wiring": [
        (
            "services/riders/app.py",
            "\n\ndef build() -> None:\n    while True:\n        pass\n",
            "a loop: what comes again",
        ),
        ("services/riders/app.py", "\n\ndef build() -> None:\n    for one in ():\n        one()\n", "a loop"),
        ("services/riders/app.py", "\n\nasync def _end_due() -> None: ...\n", "_end_due beside build()"),
        (
            "services/riders/app.py",
            "\n\ndef build() -> None:\n    async def flush() -> None: ...\n",
            "flush beside build()",
        ),
        ("services/riders/app.py", "\nX = lambda: 1\n", "a lambda beside build()"),
        (
            "services/riders/api.py",
            "\nfrom shared.kit.service import Service\n\n\nclass Riders(Service): ...\n",
            "Riders is a class of Service",
        ),
        (
            "services/riders/usecases.py",
            "\nfrom shared.kit import service as s\n\n\nclass Riders(s.Service): ...\n",
            "Riders is a class of Service",
        ),
    ],
    "one_connection": [
        (
            "services/riders/api.py",
            "\nfrom shared.kit.service import Reading\n\n\n"
            "async def f(conn: Reading, service) -> None:\n    async with service.work():\n        pass\n",
            "takes another by .work",
        ),
        (
            "services/riders/api.py",
            "\nfrom shared.kit.service import Reading as R\n\n\nasync def f(conn: R, of) -> None:\n    of.pool\n",
            "takes another by .pool",
        ),
    ],
    "pooled": [
        (
            "services/riders/usecases.py",
            "\n\nasync def f(pool):\n    async with pool.acquire() as c:\n        pass\n",
            ".acquire",
        ),
        (
            "shared/kit/ids.py",
            "\n\nasync def f(of):\n    c = await of._pool().acquire(timeout=4)\n",
            ".acquire of a pool",
        ),
        (
            "shared/known/riders.py",
            "\n\nasync def f(service):\n    await service.pool.fetch('x')\n",
            ".fetch of a pool",
        ),
        ("shared/kit/ids.py", "\n\nasync def f(s):\n    await s.pool_of().execute('x')\n", ".execute of a pool"),
    ],
    "abouts": [
        ("services/riders/about.py", "\nimport os\n", "imports os"),
        ("services/riders/about.py", "\n\ndef f() -> None: ...\n", "more than one ABOUT"),
        ("services/riders/about.py", "\nSIZE = 1\n", "has ABOUT, SIZE where"),
        ("services/newcomer/about.py", NEWCOMER.replace("PATH", "/v1/ri*"), "/v1/ri* of newcomer and /v1/riders* of"),
        ("services/newcomer/about.py", NEWCOMER.replace("PATH", "/v1/riders/x"), "are one address"),
        ("services/newcomer/about.py", NEWCOMER.replace("PATH", "v1"), "are not all"),
        ("services/newcomer/about.py", NEWCOMER.replace("limit='x'", "limit='x.'"), "limit is empty"),
        ("services/newcomer/about.py", NEWCOMER.replace("pods_max=3", "pods_max=1"), "2 to 1 pods"),
    ],
    "anatomy": [
        ("services/riders/utils.py", "", "drawer"),
        ("services/newcomer/domain.py", "", "app.py is missing"),
        ("services/newcomer/domain.py", "", "neither api nor usecases"),
        ("services/riders/handlers.py", "", "go to a use case"),
        ("services/riders/domain/parts.py", "", "a file and a folder"),
    ],
    "migrations": [
        ("services/riders/migrations/0009_late.sql", "-- Why: x y\n-- migrate:up\n-- migrate:down\n", "are not 1.."),
        ("services/riders/migrations/2.sql", "-- Why: x y\n-- migrate:up\n-- migrate:down\n", "not named"),
        ("services/riders/migrations/0009_mute.sql", "-- migrate:up\n-- migrate:down\n", "doesn't say why"),
        ("shared/known/migrations/riders/00009_mute.sql", "-- migrate:up\n-- migrate:down\n", "doesn't say why"),
        ("services/riders/migrations/0009_up.sql", "-- Why: x y\nSELECT 1;\n", "lacks"),
        (
            "services/riders/migrations/0009_back.sql",
            "-- Why: x y\n-- migrate:up\n-- migrate:down\nDROP TABLE riders;\n",
            "a way back",
        ),
    ],
    "short_pages": [
        ("services/riders/README.md", "\n" * 31, "more than 30"),
        ("docs/adr/0099-long.md", "## Alternatives\n" + "\n" * 60, "more than 60"),
        ("docs/adr/0099-short.md", "one way only\n", "no alternatives"),
        ("docs/adr/today.md", "## Alternatives\n", "not named"),
        ("Makefile", "\n" * 61, "more than 60"),
    ],
}


@pytest.mark.parametrize(
    ("rule", "name", "text", "words"),
    [(rule, *violation) for rule, violations in VIOLATIONS.items() for violation in violations],
)
def test_a_violation_is_found(small_house: Path, rule: str, name: str, text: str, words: str) -> None:
    assert list(RULES[rule](small_house)) == []
    append(small_house / name, text)
    found = list(RULES[rule](small_house))
    assert any(words in violation for violation in found), found


def append(path: Path, text: str) -> None:
    """Add to a file, which is made where it isn't there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_every_rule_has_a_violation() -> None:
    assert set(VIOLATIONS) == set(RULES)


ALLOWED = {
    "city_zone": (
        "shared/kit/ids.py",
        "\nfrom zoneinfo import ZoneInfo\n\n\ndef f(name: str) -> ZoneInfo:\n    return ZoneInfo(name)\n",
    ),
    "database_clock": (
        "services/riders/api.py",
        "\nfrom shared.kit import clock\n\nX = clock.now()  # process clock: shown only\nY = clock.monotonic_s()\n",
    ),
    "wiring": (
        "services/riders/app.py",
        "\nfrom shared.kit.service import Service\n\n\ndef build() -> Service:\n    return Service()\n",
    ),
    "one_connection": (
        "services/riders/api.py",
        "\nfrom shared.kit.service import Reading\n\n\nasync def f(conn: Reading) -> None:\n    await conn.fetch('')\n",
    ),
    "sql_place": ("services/riders/usecases.py", '\n\ndef f() -> None:\n    """Update the rider."""\n'),
    "plain_names": ("shared/kit/ids.py", "\n\ndef tell_apart(recommended: int, file) -> None:\n    at = file.tell()\n"),
    "screens": (
        "shared/cli/riders.py",
        "\nfrom rich.text import Text\n\nfrom shared.cli.screen import Cells, Screen\n",
    ),
    "suppressed": (
        "shared/kit/ids.py",
        "\nimport contextlib\n\nwith contextlib.suppress(Exception):  # the caller asks again\n    pass\n",
    ),
    "reasons": ("shared/kit/ids.py", "\nx = 1  # type: " + "ignore[misc]  # a stub is missing\n"),
}


@pytest.mark.parametrize("rule", ALLOWED)
def test_what_is_right_is_not_reported(small_house: Path, rule: str) -> None:
    name, text = ALLOWED[rule]
    append(small_house / name, text)
    assert list(RULES[rule](small_house)) == []
