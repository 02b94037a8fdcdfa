"""`make upgrade`: the suite's containers on a new image, service by service, while requests are answered.

`docker compose up` alone takes all services away, sets up, and then starts them: minutes without any. Here set-up runs
first, beside the old services (migrations are such that the old version goes on working); then each service gets its
new containers beside the old ones, and the old ones leave when the new ones are healthy. A new one that doesn't get
healthy is removed, and the old ones stay.
"""

import argparse
import sys
import time
from collections.abc import Callable

from shared.devtools.containers import engine
from shared.devtools.containers.engine import EngineError, compose, containers, docker, inspect
from shared.kit import clock
from shared.provision.services import service_names

HEALTHY_S = 240
STOP_S = 60
JOB_S = 900
JOBS = ("identity", "setup")
Say = Callable[[str], None]


def wanted(service: str) -> tuple[str, str]:
    """The image's id and the hash of the settings that a service's containers should have."""
    image = engine.resolved()["services"][service]["image"]
    found = compose("config", "--hash", service).split()
    return docker("image", "inspect", "--format", "{{.Id}}", image).strip(), found[-1]


def present(container: str) -> tuple[str, str]:
    """The same of a container that runs."""
    facts = inspect(container)
    return facts["Image"], facts["Config"]["Labels"].get("com.docker.compose.config-hash", "")


def replace(service: str, say: Say, *, force: bool = False) -> bool:
    """Give a service new containers, as many as it has; False where all are as they should be.

    Raises:
        EngineError: the new ones don't get healthy; they are gone again, the old ones are there.
    """
    old = containers(service)
    if not force and old and all(present(one) == wanted(service) for one in old):
        return False
    many = max(1, len(old))
    # `up --no-deps` would leave another hash of the settings than `up` alone, which would replace all of them again
    compose("create", "--no-build", "--no-recreate", "--scale", f"{service}={len(old) + many}", service)
    fresh = [one for one in containers(service, everything=True) if one not in old]
    try:
        docker("start", *fresh)
        _until_healthy(fresh)
    except EngineError as error:
        last = docker("logs", "--tail", "3", fresh[-1]) if fresh else ""
        for one in fresh:
            docker("rm", "--force", one)
        raise EngineError(
            f"{service}: the new containers are not healthy, the old ones stay: {error} {last}"
        ) from error
    for one in old:
        docker("stop", "--time", str(STOP_S), one, timeout_s=STOP_S + 30)
        docker("rm", one)
    say(f"{service}: {many} replaced")
    return True


def do(job: str) -> str:
    """Have a job done by a new container; its last words.

    The old one is removed first: whatever a job that Compose itself replaces is waited for by is replaced, too.

    Raises:
        EngineError: it failed.
    """
    for one in containers(job, everything=True):
        docker("rm", "--force", one)
    compose("create", "--no-build", "--no-recreate", job)
    (made,) = containers(job, everything=True)
    docker("start", made)
    code = docker("wait", made, timeout_s=JOB_S).strip()
    words = docker("logs", "--tail", "3", made).strip().splitlines()
    if code != "0":
        raise EngineError(f"{job} ended with {code}: {' / '.join(words)}")
    return words[-1] if words else "done"


def _until_healthy(fresh: list[str]) -> None:
    deadline_s = clock.monotonic_s() + HEALTHY_S
    while states := {one["State"]["Health"]["Status"] for one in map(inspect, fresh)} - {"healthy"}:
        if clock.monotonic_s() > deadline_s or not all(one["State"]["Running"] for one in map(inspect, fresh)):
            raise EngineError(f"after {HEALTHY_S} s: {', '.join(states)}")
        time.sleep(1)


def upgrade(say: Say, *, build: bool) -> None:
    """All of it.

    Raises:
        EngineError: something failed; what was replaced before stays so, and the same again goes on from there.
    """
    if build:
        compose("build", timeout_s=3_600)
    for name in JOBS:
        say(f"{name}: {do(name)}")
    for service in service_names():
        if not replace(service, say):
            say(f"{service}: as it should be")
    # what else has changed: servers and the front door, which are away for as long as their own start takes
    many = [word for name in service_names() for word in ("--scale", f"{name}={max(1, len(containers(name)))}")]
    compose("up", "--detach", "--no-build", *many, timeout_s=1_200)
    say("all else: as docker-compose.yml has it")


def main() -> int:
    """0: everything runs on the new image; 1: the words say where it stopped."""
    parser = argparse.ArgumentParser(prog="make upgrade")
    parser.add_argument("--no-build", action="store_true", help="the image is there already, by build or pull")
    options = parser.parse_args()
    try:
        if away := engine.absent():
            raise EngineError(f"no container engine answers: {away}")
        upgrade(lambda line: print(line, flush=True), build=not options.no_build)
    except EngineError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
