"""The programs of examples/ do what they say against the suite, in each language whose tools are on this machine."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from _pytest.mark import ParameterSet

from shared.devtools.installation import ROOT
from shared.synthetic.city import grids
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.outside import Outside, a_company, a_system, place_of

EXAMPLES = ROOT / "examples"
PACKAGES = Path(tempfile.gettempdir()) / "beegrid-examples"
"""Where the package managers keep what they have fetched: outside the checkout, so that the next one finds it."""
MADE = {"node_modules", "built", "target", "__pycache__"}
"""What somebody who has tried an example has in its folder beside the sources."""
LINES_MAX = 100
ASKED = "BEEGRID_CLIENTS"
PARTITIONS = 6
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Language:
    """How its programs are built and run, in their folder. `tools`: what must be on the machine."""

    name: str
    tools: tuple[str, ...]
    build: tuple[tuple[str, ...], ...]
    company: tuple[str, ...]
    dispatch: tuple[str, ...]
    sources: str


MAVEN = ("mvn", "-q", "-B", f"-Dmaven.repo.local={PACKAGES}/maven", "compile", "dependency:copy-dependencies")
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-cp", "target/classes:target/lib/*")
LANGUAGES = (
    Language("python", (), (), (sys.executable, "company.py"), (sys.executable, "dispatch.py"), "*.py"),
    Language(
        "typescript", ("node", "npm"),
        (("npm", "install", "--no-audit", "--no-fund", "--no-package-lock"), ("npm", "run", "--silent", "build")),
        ("node", "built/company.js"), ("node", "built/dispatch.js"), "*.ts",
    ),
    Language("go", ("go",), (("go", "build", "-o", "built/", "./company", "./dispatch"),),
             ("./built/company",), ("./built/dispatch",), "*.go"),
    Language("java", ("java", "javac", "mvn"), (MAVEN,), (*JAVA, "Company"), (*JAVA, "Dispatch"), "*.java"),
)  # fmt: skip


class Program:
    """A running example, and what it has printed."""

    def __init__(self, command: tuple[str, ...], folder: Path, env: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **env}, stdout=out, stderr=subprocess.STDOUT
            )

    def lines(self, beginning: str = "") -> list[str]:
        """What it has printed so far."""
        return [line for line in self._log.read_text(encoding="utf-8").splitlines() if line.startswith(beginning)]

    @property
    def partitions(self) -> set[int]:
        """What its group gave it last."""
        return {int(one) for one in re.findall(r"\d+", self.lines("assigned")[-1])} if self.lines("assigned") else set()

    async def ended(self, wait_s: float = 120) -> int:
        """Its exit status."""
        return await asyncio.to_thread(self.process.wait, wait_s)


@contextmanager
def started(*arguments: object) -> Iterator[Program]:
    """A program that doesn't outlive the block."""
    program = Program(*arguments)  # type: ignore[arg-type]  # as Program's own
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


def built(language: Language) -> Path:
    """The example with its packages, compiled: once on a machine for the same sources. Only in temporary folders."""
    sources = EXAMPLES / language.name
    digest = sha256()
    for file in sorted(file for file in sources.rglob("*") if file.is_file() and not MADE & set(file.parts)):
        digest.update(str(file.relative_to(sources)).encode() + b"\0" + file.read_bytes())
    whole = PACKAGES / "built" / f"{language.name}-{digest.hexdigest()[:16]}"
    if whole.exists():
        return whole
    whole.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=whole.parent)) / language.name
    shutil.copytree(sources, folder, ignore=shutil.ignore_patterns(*MADE))
    env = {
        **os.environ,
        "npm_config_cache": str(PACKAGES / "npm"),
        "GOMODCACHE": str(PACKAGES / "go"),
        "GOCACHE": str(PACKAGES / "go-build"),
        "GOFLAGS": "-modcacherw",
    }
    for command in language.build:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    with suppress(OSError):  # somebody else was quicker
        folder.rename(whole)
    return whole


async def forged(town: Town, code: str, program: Program) -> int:
    """What the company's receiver answers to somebody who doesn't know the secret."""

    async def url() -> str | None:
        assert program.process.poll() is None, program.lines()
        hooks = (await town.door.get("/v1/webhooks", limit=500))["items"]
        return next((one["url"] for one in hooks if one["company"] == code), None)

    address = await soon(url, lambda found: found is not None, "the company has set its webhook")
    signature = {"webhook-id": "x", "webhook-timestamp": "1800000000", "webhook-signature": "v1,AAAA"}
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(address, json={"type": "forged"}, headers=signature)).status_code


def states(folder: Path) -> dict[str, dict[str, object]]:
    """Cases as a dispatch centre has kept them."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")}


def where_its_tools_are(language: Language) -> ParameterSet:
    """The language; skipped aloud, before anything is started, where nobody asks or the machine lacks it."""
    missing = [tool for tool in language.tools if shutil.which(tool) is None]
    reason = f"{language.name}: not on this machine: {', '.join(missing)}"
    if language.build and ASKED not in os.environ:
        missing, reason = ["time"], f"{language.name}: downloads packages and compiles: make clients"
    return pytest.param(language, id=language.name, marks=pytest.mark.skipif(bool(missing), reason=reason))


@pytest.mark.parametrize("language", map(where_its_tools_are, LANGUAGES))
@pytest.mark.timeout(420)
async def test_a_company_and_a_dispatch_centre(language: Language, town: Town, tmp_path: Path) -> None:
    folder = await asyncio.to_thread(built, language)
    company = await a_company(town, f"example-{language.name}")
    system = await a_system(town, f"example-{language.name}")
    grid = 500 + LANGUAGES.index(language)
    company.env["BEEGRID_PLACE"] = place_of(grid)
    system.env["BEEGRID_STATE"] = str(tmp_path / "cases")
    with (
        started(language.dispatch, folder, system.env, tmp_path / "first") as first,
        started(language.dispatch, folder, system.env, tmp_path / "second") as second,
    ):
        await _shared(first, second)
        await _filed(language, town, company, folder, tmp_path)
        case_id = await _kept(tmp_path / "cases", grids()[grid].code)
        first.process.send_signal(signal.SIGTERM)
        await first.ended()
        await soon(_asked(lambda: second.partitions), lambda found: len(found) == PARTITIONS, "the other has all")
        await town.door.post(f"/v1/cases/{case_id}/invalidate", {"note": "示例"})
        kept = await soon(
            _asked(lambda: states(tmp_path / "cases")[case_id]["case"]),
            lambda case: case["state"] == "invalid", "the other has gone on",
        )  # fmt: skip
        assert kept["case_id"] == case_id
    await _all_again(language, system, folder, tmp_path)


def _asked(ask):  # type: ignore[no-untyped-def]  # a function of any value, as one that is awaited
    async def asked():  # type: ignore[no-untyped-def]  # as above
        return ask()

    return asked


async def _shared(first: Program, second: Program) -> None:
    def both() -> list[int]:
        assert first.process.poll() is None and second.process.poll() is None, first.lines() + second.lines()
        return sorted([*first.partitions, *second.partitions])

    whole = list(range(PARTITIONS))
    await soon(
        _asked(both), lambda found: found == whole and first.partitions and second.partitions, "both have partitions"
    )


async def _filed(language: Language, town: Town, company: Outside, folder: Path, tmp_path: Path) -> None:
    """Every codec in both modes of CloudEvents, one that is refused, its dead letter, and a webhook that is genuine."""
    with started(language.company, folder, company.env, tmp_path / "company") as program:
        assert await forged(town, company.code, program) == 401
        status = await program.ended()
    said = program.lines()
    assert status == 0, said
    for codec in CODECS:
        for way in ("binary", "structured"):
            assert any(f"-{codec}-{way}: in_case" in line for line in said), said
    assert any(line.endswith("-bad: refused") and not line.startswith("letter") for line in said), said
    assert any(line.startswith("letter") and line.endswith("-bad: unknown_kind") for line in said), said
    assert "webhook: webhook.test" in said
    progress = await town.door.get("/v1/tracking/progress", company=company.code)
    assert progress["received"] == 2 * len(CODECS), "what was sent twice counts once"


async def _kept(folder: Path, grid_code: str) -> str:
    """The case of the company's reports, as the dispatch centre has it."""

    def there() -> str | None:
        cases = ((case_id, kept["case"]) for case_id, kept in states(folder).items())
        return next((one for one, case in cases if isinstance(case, dict) and case["grid_code"] == grid_code), None)

    found: str = await soon(_asked(there), lambda case_id: case_id is not None, "the case is kept")
    return found


async def _all_again(language: Language, system: Outside, folder: Path, tmp_path: Path) -> None:
    """Whoever reads everything once more, as after a loss of their offsets, changes nothing."""
    before = states(tmp_path / "cases")
    with started(language.dispatch, folder, {**system.env, "BEEGRID_GROUP": "again"}, tmp_path / "again") as again:
        # those without a state have left: the broker need not have their last record any more
        there = {case_id: kept["version"] for case_id, kept in before.items() if kept["case"] is not None}
        newest = {f"case {case_id} {version} repeated" for case_id, version in there.items()}
        await soon(_asked(lambda: set(again.lines("case"))), lambda seen: newest <= seen, "all came again")
        news = {line for line in again.lines("case") if line.split()[1] in before} - {
            line for line in again.lines("case") if line.endswith("repeated")
        }
    assert not news, "what was known is not handled again"


def test_each_program_is_short() -> None:
    for language in LANGUAGES:
        for file in (EXAMPLES / language.name).rglob(language.sources):
            if "node_modules" not in file.parts:
                assert len(file.read_text(encoding="utf-8").splitlines()) < LINES_MAX, file
