"""Rules about single files of code."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from shared.devtools.house.source import Source, dotted, functions, imported, sources

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

PROCESS_CLOCKS = frozenset({"shared.kit.clock.now", "shared.kit.clock.unix_s"})
REASON = "# process clock:"
UNIT, UNIT_FILE = "shared.kit.messaging.work.Work", "shared/kit/messaging/work.py"
# The places that may name a zone: the setting, and what stands for it where nobody has set one.
ZONE_FILES = frozenset({"shared/kit/settings.py", "shared/catalog/loader.py"})
ZONE_IN_SQL = re.compile(r"\bTIME\s+ZONE\s+'(?!UTC')", re.IGNORECASE)
# What a domain may know besides the standard library: the catalogue's and the contracts' words for values, and
# what all services know alike. A second set of the same words would only have to be kept equal by hand.
DOMAIN_KNOWS = (
    "shared.catalog", "shared.events", "shared.geo", "shared.kit.problems", "shared.kit.refusals",
    "shared.known.domain",
)  # fmt: skip
BARE_REFUSALS = (
    "fastapi.HTTPException",
    "fastapi.exceptions.HTTPException",
    "starlette.exceptions.HTTPException",
    "fastapi_problem.error.Problem",
)
# Words as only SQL has them, so that prose beginning with "Update" or "Select" isn't taken for it.
SQL = re.compile(
    r"^\s*(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+(?:\s+\w+)?\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s|LOCK\s+TABLE\s"
    r"|WITH\s+(?:RECURSIVE\s+)?\w+(?:\s*\([^)]*\))?\s+AS\s)"
)
COUNTED = re.compile(r"\$[1-9][0-9]+\b")
BROAD = frozenset({"Exception", "BaseException"})
UNEXPLAINED = re.compile(r"#\s*(?:type:\s*ignore(?:\[[\w, -]+\])?|noqa(?::\s*[A-Z0-9, ]+?)?)\s*(?=#|$)")


def city_zone(root: Path) -> Iterator[str]:
    """Only the setting names a time zone: a day, a quiet hour or a time on a page that ends elsewhere is wrong."""
    for source in sources(root, "services", "shared", words="timezone|ZoneInfo"):
        if source.name in ZONE_FILES or source.name.startswith("shared/devtools/"):
            continue
        for call in source.calls:
            full, fixed = source.full(call.func), bool(call.args) and isinstance(call.args[0], ast.Constant)
            if (full == "datetime.timezone" and call.args) or (full == "zoneinfo.ZoneInfo" and fixed):
                yield source.at(call.lineno, "a fixed time zone; take the setting's city_zone")
    for folder in ("services", "shared"):
        for path in sorted((root / folder).rglob("*.sql")):
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if ZONE_IN_SQL.search(line):
                    yield f"{path.relative_to(root).as_posix()}:{number}: a fixed time zone in SQL; take it as a value"


def database_clock(root: Path) -> Iterator[str]:
    """A service decides by the database's clock (`work.now`, `database_now`, SQL's `now()`), and says beside each other
    look at a clock what for: a replica whose own is wrong must end, refuse, delete or settle nothing."""
    for source in sources(root, "services", "shared/kit", "shared/known", words="clock|Work"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and source.full(node.func) == UNIT and source.name != UNIT_FILE:
                yield source.at(node.lineno, "a unit of work by the process's clock; take begin(conn)")
            if not source.name.startswith("services/") or not isinstance(node, ast.Attribute | ast.Name):
                continue
            full = source.full(node)
            reason = source.comments.get(node.lineno, "").partition(REASON)[2]
            if full in PROCESS_CLOCKS and isinstance(node.ctx, ast.Load) and not reason.strip():
                yield source.at(node.lineno, f"{full} without `{REASON} <what for>`; decide by the database's clock")


def _sql_texts(source: Source) -> Iterator[ast.Constant | ast.JoinedStr]:
    inside: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            first = node.values[0] if node.values else None
            if isinstance(first, ast.Constant) and SQL.match(str(first.value)):
                yield node
    yield from (text for text in source.texts if id(text) not in inside and SQL.match(str(text.value)))


def _is_store(source: Source) -> bool:
    parts = source.name.split("/")
    return len(parts) > 2 and (parts[2] == "store" or parts[2] == "store.py")


def sql_place(root: Path) -> Iterator[str]:
    """A service's SQL is in its store, as a constant SQL_*: everything else can be read without knowing the tables."""
    for source in sources(root, "services", "shared/kit", "shared/known"):
        named = {
            id(part)
            for node in source.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and target.id.startswith("SQL_")
            for part in ast.walk(node.value)
        }
        for text in _sql_texts(source):
            if source.name.startswith("services/") and not _is_store(source):
                yield source.at(text.lineno, "SQL outside store.py")
            elif id(text) not in named:
                yield source.at(text.lineno, "SQL that is no module constant SQL_*")


def parameters(root: Path) -> Iterator[str]:
    """No SQL is written that counts past $9: a value given one place too early is the wrong value and an error to
    nobody. What has more comes from a dataclass (shared/kit/postgres/rows.py), whose text isn't in the source."""
    for source in sources(root, "services", "shared/kit", words=COUNTED.pattern):
        for text in source.texts:
            if found := COUNTED.search(str(text.value)):
                words = f"counts to {found.group()}: let unnest of shared.kit.postgres.rows write them"
                yield source.at(text.lineno, words)


def sizes(root: Path) -> Iterator[str]:
    """Files and functions that fit into a head."""
    for source in sources(root):
        lines = source.text.count("\n")
        if lines > FILE_LINES_MAX:
            yield source.at(1, f"{lines} lines, more than {FILE_LINES_MAX}: split it by noun")
        for node in functions(source.tree) if lines > FUNCTION_LINES_MAX else ():
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield source.at(node.lineno, f"{node.name} has {length} lines, more than {FUNCTION_LINES_MAX}")


def domain_pure(root: Path) -> Iterator[str]:
    """A domain imports the standard library, its own parts and value types of the contracts, nothing that does I/O."""
    for source in sources(root, "services"):
        parts = source.name.split("/")
        if len(parts) < 3 or parts[2] not in ("domain.py", "domain"):
            continue
        own = (f"services.{parts[1]}.domain", f"services.{parts[1]}.problems")
        for line, name in imported(source.tree):
            allowed = name.startswith((*own, *DOMAIN_KNOWS)) or name.split(".")[0] in sys.stdlib_module_names
            if not allowed:
                yield source.at(line, f"a domain imports {name}")
            elif name.split(".")[0] in ("asyncio", "socket", "subprocess", "threading"):
                yield source.at(line, f"a domain imports {name}: it decides, it does nothing")


def contracts_light(root: Path) -> Iterator[str]:
    """shared/events imports the standard library and pydantic only: other programs may take the folder as it is."""
    for source in sources(root, "shared/events"):
        for line, name in imported(source.tree):
            top = name.split(".")[0]
            if not (
                name.startswith("shared.events")
                or top in ("pydantic", "annotated_types")
                or top in sys.stdlib_module_names
            ):
                yield source.at(line, f"shared.events imports {name}")


def problems_place(root: Path) -> Iterator[str]:
    """Problems are declared in problems.py alone, and nothing refuses by a bare HTTP status: then all can be listed."""
    for source in sources(root, "services", "shared/kit", "shared/known", words="Problem|Refusal|HTTPException"):
        for line, name in imported(source.tree):
            if name in BARE_REFUSALS and source.name.startswith("services/"):
                yield source.at(line, f"{name}: refuse with a problem of problems.py")
        for call in source.calls if source.path.name not in ("problems.py", "refusals.py") else ():
            if (made := dotted(call.func).rpartition(".")[2]) in ("Problem", "Refusal"):
                yield source.at(call.lineno, f"makes a {made}: declare the problem in problems.py and call it")


def suppressed(root: Path) -> Iterator[str]:
    """`suppress(Exception)` says beside itself why it may swallow everything; `except` is ruff's to look at."""
    for source in sources(root, "services", "shared", words="suppress"):
        for call in source.calls:
            broad = dotted(call.func).endswith("suppress") and any(dotted(kind) in BROAD for kind in call.args)
            if broad and call.lineno not in source.comments:
                yield source.at(call.lineno, "suppresses everything without a reason")


def reasons(root: Path) -> Iterator[str]:
    """`noqa` and `type: ignore` carry their reason."""
    for source in sources(root, words=UNEXPLAINED.pattern):
        for line, comment in source.comments.items():
            if (found := UNEXPLAINED.search(comment)) and not comment[found.end() :].strip("# "):
                yield source.at(line, "an exemption without a reason beside it")
