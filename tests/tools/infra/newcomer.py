"""Run in a copy of the tree: start the service that was made there, behind its front door, and ask it.

`python -m tests.tools.infra.newcomer NAME FOLDER`: on the servers of the environment; exit status 0 when all is well.
"""

import sys
from pathlib import Path

import httpx

from shared.devtools.infra.suite import start_infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import Installation
from shared.devtools.suite import Suite


def ask(suite: Suite, name: str) -> None:
    """Its probes and metrics on its own port, its route at the front door."""
    process = suite.add(name)
    suite.open_front_door()
    with httpx.Client(timeout=10) as client:
        ready = client.get(f"{process.url}/readyz")
        assert ready.status_code == 200, ready.text
        metrics = client.get(f"{process.url}/metrics").text
        assert f"beegrid_{name}_changes_total 0.0" in metrics, metrics
        operator = {"Authorization": f"Bearer {suite.operator_token()}"}
        entry = f"{suite.url}/v1/{name}/first"
        assert client.get(entry).status_code == 401
        assert client.get(entry, headers=operator).json()["code"] == "not_found"
        made = client.put(entry, json={"name": "第一"}, headers=operator)
        assert made.status_code == 200, made.text
        assert client.get(entry, headers=operator).json() == made.json()
        status = client.get(f"{suite.url}/ops/{name}/status", headers=operator).json()
        assert status["tallies"] == {"entries": 1} and status["problems"] == {}, status
        keys = client.get(f"{suite.url}/ops/{name}/keys", headers=operator).json()
        assert keys["sealing"] == [], "it declares no secret"


def main(name: str, folder: Path) -> None:
    """Make an installation of this service alone, and remove it again."""
    with start_infra() as infra, Installation.fresh(infra, folder, "n", services=(name,)) as made:
        guard = infra.guard or Guard()
        suite = Suite(made, guard, folder)
        try:
            ask(suite, name)
        finally:
            suite.stop()
            if infra.guard is None:
                guard.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
