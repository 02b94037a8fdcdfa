"""What the journeys of those outside need: a place for `beegrid`, clients' environment, shells that know kcat."""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

import httpx
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.devtools.installation import ROOT
from shared.kit.auth import signed_headers
from shared.provision.topology import provision_company, provision_system
from shared.synthetic import opening
from shared.synthetic.city import grids
from shared.synthetic.door import until_key_known
from tests.asking import soon
from tests.journeys.conftest import Town

PASSWORD = "a-word-only-they-know"


def at_the_suite(town: Town, folder: Path) -> Path:
    """A folder in which `beegrid` finds the suite."""
    (folder / ".beegrid").mkdir(exist_ok=True)
    town.suite.write_address(folder / ".beegrid" / "suite.json")
    return folder


def type_in(*words: str, password: str = "") -> Result:
    """A command of the operator's, in the working directory."""
    env = {"COLUMNS": "200", **({"BEEGRID_OUTSIDE_PASSWORD": password} if password else {})}
    return CliRunner().invoke(app, list(words), env=env)


def place_of(grid_index: int) -> str:
    """The middle of a grid as the examples take it."""
    middle = grids()[grid_index].polygon.representative_point()
    return f"{middle.x:.6f},{middle.y:.6f}"


def shell(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, wait_s: float = 120) -> str:
    """Run a command with this environment's Python, `beegrid` and librdkafka in front; its output."""
    libraries = folder / "librdkafka"
    libraries.mkdir(exist_ok=True)
    library = next(f for f in files("confluent-kafka") or () if f.name.startswith("librdkafka"))
    link = libraries / "librdkafka.so.1"
    if not link.exists():
        link.symlink_to(library.locate())
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LD_LIBRARY_PATH": str(libraries),
        "COLUMNS": "200",
        **(env or {}),
    }
    done = subprocess.run(
        list(command), cwd=folder, env=environment, capture_output=True, text=True, timeout=wait_s, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@dataclass
class Outside:
    """A company, or a city system, as its own programs know the suite."""

    code: str
    env: dict[str, str]


async def a_company(town: Town, code: str) -> Outside:
    """A new company with its key and its Kafka user; returns when every service that it speaks with knows it."""
    installation = town.suite.installation
    secret = await opening.register_company(town.door, code, f"示例 {code}")
    await asyncio.to_thread(provision_company, installation.cluster, code, PASSWORD)
    env = {
        **_cluster(town, f"company-{code}"),
        "BEEGRID_CODE": code,
        "BEEGRID_SECRET": "whsec_" + base64.b64encode(secret).decode(),
        "BEEGRID_URL": town.suite.url,
    }
    async with httpx.AsyncClient(base_url=town.suite.url, trust_env=False, timeout=30) as client:
        for path in ("/v1/webhooks", "/v1/tracking/progress"):

            async def asked(path: str = path) -> int:
                headers = signed_headers(company=code, secret=secret, method="GET", target=path)
                return (await client.get(path, headers=headers)).status_code

            await soon(asked, lambda status: status == 200, f"{path} knows {code}")
        await until_key_known(client, code, secret, 60)
    return Outside(code, env)


async def a_system(town: Town, code: str) -> Outside:
    """A city system with its Kafka user."""
    await asyncio.to_thread(provision_system, town.suite.installation.cluster, code, PASSWORD)
    return Outside(code, {**_cluster(town, f"system-{code}"), "BEEGRID_CODE": code})


def _cluster(town: Town, user: str) -> dict[str, str]:
    installation = town.suite.installation
    return {
        "BEEGRID_KAFKA": installation.infra.kafka_bootstrap,
        "BEEGRID_USER": installation.user_prefix + user,
        "BEEGRID_PASSWORD": PASSWORD,
        "BEEGRID_PREFIX": installation.topic_prefix,
    }
