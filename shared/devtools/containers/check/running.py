"""From nothing to the demo's end, and what the containers are like then: the door, probes, layers, volumes."""

import contextlib
import re
import socket
import time
from collections import Counter

import httpx

from shared.devtools.containers import engine
from shared.devtools.containers.check.place import PROJECT, REPORTS, Place, must
from shared.devtools.containers.check.visitors import ADDRESSES, visiting
from shared.devtools.containers.engine import EngineError
from shared.kit import clock

DEMO_S = 900.0
PROBE_CPU_S = 0.12
MARK = "# another version"
MONITORING = ("prometheus", "grafana", "jaeger")
CPU = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
)
SERVED = (
    "import urllib.request as u; lines = u.urlopen('http://127.0.0.1:8080/metrics').read().decode().splitlines(); "
    "ours = [line for line in lines if line.startswith('beegrid_http_requests_total') and '/v1/' in line]; "
    "print(sum(float(line.rsplit(' ', 1)[1]) for line in ours))"
)
SCALE = ("up", "--detach", "--no-build", "--no-recreate", "--scale")


def environment(place: Place) -> str:
    """`make env` names a taken port before anything starts, and makes what it needs readable."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", place.door))
        somebody.listen()
        try:
            place.tool("shared.devtools.compose_env")
        except EngineError as error:
            must(f"port {place.door}" in str(error) and "BEEGRID_PUBLISH" in str(error), str(error))
        else:
            must(False, "nobody said that the front door's port is taken")
    said = place.tool("shared.devtools.compose_env")
    must((place.folder / "ops/kafka/start.sh").stat().st_mode & 0o044 == 0o044, "containers can't read ops")
    must("names" in said, said)
    return "a taken port is named; files are readable under umask 077"


def images(place: Place) -> str:
    """Both stages are built, from a checkout that only its owner can read."""
    place.compose("build", timeout_s=3_600)
    size = int(engine.docker("image", "inspect", "--format", "{{.Size}}", "beegrid:check"))
    base = int(engine.docker("image", "inspect", "--format", "{{.Size}}", "python:3.11-slim-trixie"))
    return f"{size / 1e6:.0f} MB, {(size - base) / 1e6:.0f} MB of them ours"


def up(place: Place) -> str:
    """`docker compose up`: all healthy, the demo to its end, with an address that a browser can open."""
    began_s = clock.monotonic_s()
    place.compose("up", "--detach", "--no-build", timeout_s=1_200)
    healthy_s = clock.monotonic_s() - began_s
    must(set(place.health().values()) == {"healthy"}, f"not healthy: {place.health()}")
    deadline_s = clock.monotonic_s() + DEMO_S
    while (state := place.containers("demo")[0]["State"])["Status"] != "exited":
        must(clock.monotonic_s() < deadline_s, "the demo doesn't end")
        time.sleep(2)
    words = place.compose("logs", "--no-log-prefix", "demo")
    must(state["ExitCode"] == 0, words[-2_000:])
    must("everything reconciles" in words, words[-2_000:])
    address = re.findall(r"http://\S+", words)[-1]
    must(httpx.get(f"{address}city", trust_env=False).status_code == 200, f"{address} can't be opened from here")
    return f"healthy after {healthy_s:.0f} s; {REPORTS} reports reconciled; {address}"


def layers(place: Place) -> str:
    """No container of ours or Kafka's writes into its layer, and no volume is without a name."""
    for service in (*ADDRESSES, "kafka", "caddy", "valkey", "objects"):
        facts = place.containers(service)[0]
        must(facts["HostConfig"]["ReadonlyRootfs"], f"{service}: its root can be written")
        nameless = [one["Name"] for one in facts["Mounts"] if one["Type"] == "volume" and PROJECT not in one["Name"]]
        must(not nameless, f"{service}: nameless volumes {nameless}")
    words = place.compose("logs", "--no-log-prefix", "kafka")
    must("Kafka Server started" in words, "Kafka's own log isn't the container's")
    return f"all read-only; Kafka's log is {len(words.splitlines())} lines on stdout"


def probes(place: Place) -> str:
    """What a health check costs in a container."""
    test = place.containers("cases")[0]["Config"]["Healthcheck"]["Test"][1:]
    used = sorted(float(place.compose("exec", "-T", "cases", "python", "-c", CPU, *test)) for _ in range(5))
    must(used[2] < PROBE_CPU_S, f"a probe takes {used[2]:.3f} s of CPU")
    return f"{used[2]:.3f} s of CPU"


def balanced(place: Place) -> str:
    """Three of a service get a share each, found within seconds."""
    place.compose(*SCALE, "routing=3")
    _until_healthy(place, "routing")
    time.sleep(3)
    numbers = range(1, 4)
    before = [_served(place, number) for number in numbers]
    with visiting(place.url, ["routing"] * 4) as seen:
        time.sleep(4)
    shares = [_served(place, number) - was for number, was in zip(numbers, before, strict=True)]
    must(not seen.failed, str(seen))
    must(min(shares) > sum(shares) * 0.15, f"not balanced: {shares}")
    place.compose(*SCALE, "routing=1")
    return f"{'/'.join(f'{share:.0f}' for share in shares)} of {seen.all}"


def _until_healthy(place: Place, service: str) -> None:
    deadline_s = clock.monotonic_s() + 300
    while {one["State"]["Health"]["Status"] for one in place.containers(service)} != {"healthy"}:
        must(clock.monotonic_s() < deadline_s, f"{service} is not healthy")
        time.sleep(1)


def _served(place: Place, number: int) -> float:
    return float(place.compose("exec", "-T", "--index", str(number), "routing", "python", "-c", SERVED))


def replaced(place: Place) -> str:
    """The only container of a service is replaced: its requests wait."""
    with visiting(place.url, ["intake", "intake"]) as seen:
        time.sleep(1)
        place.compose("up", "--detach", "--no-deps", "--no-build", "--force-recreate", "--wait", "intake")
        time.sleep(1)
    must(not seen.failed, f"{seen} {seen.refused[:1]}")
    return str(seen)


def away(place: Place) -> str:
    """A service that is away: a problem document like any other, after the door's patience."""
    place.compose("stop", "rewards")
    try:
        answer = httpx.get(f"{place.url}{ADDRESSES['rewards']}", timeout=30, trust_env=False)
    finally:
        place.compose("start", "rewards")
    problem = answer.json()
    must(answer.headers["content-type"] == "application/problem+json", str(answer.headers))
    must((answer.status_code, problem["code"]) == (503, "busy"), answer.text)
    return f"{answer.status_code} {problem['code']} after {answer.elapsed.total_seconds():.1f} s"


def upgraded(place: Place) -> str:
    """A new image with other sources in it, service by service, under requests to each of them."""
    changed = place.folder / "shared/provision/setup.py"
    changed.write_text(changed.read_text(encoding="utf-8") + f"{MARK}\n", encoding="utf-8")
    place.compose("build", timeout_s=3_600)
    began_s = clock.monotonic_s()
    with visiting(place.url, list(ADDRESSES)) as seen:
        said = place.tool("shared.devtools.containers.upgrade", "--no-build", timeout_s=1_800)
    must(said.count("replaced") == len(ADDRESSES), said)
    find = "import shared.provision.setup as s; print(open(s.__file__).read().splitlines()[-1])"
    must(MARK in place.compose("exec", "-T", "cases", "python", "-c", find), "the new image has the former sources")
    must(not seen.failed, f"{seen} {Counter(seen.refused).most_common(2)}")
    again = place.tool("shared.devtools.containers.upgrade", "--no-build", timeout_s=1_800)
    must("replaced" not in again, f"twice: {again}")
    return f"{seen} in {clock.monotonic_s() - began_s:.0f} s"


def monitoring(place: Place) -> str:
    """The profile, at the ports that .env names."""
    with contextlib.ExitStack() as stack:
        stack.callback(place.compose, "--profile", "monitoring", "rm", "--stop", "--force", *MONITORING)
        place.compose("--profile", "monitoring", "up", "--detach", "--no-build", "--no-deps", *MONITORING)
        paths = {"PROMETHEUS": "/-/ready", "GRAFANA": "/api/health", "JAEGER": "/"}
        deadline_s = clock.monotonic_s() + 120
        waiting = dict(paths)
        while waiting:
            must(clock.monotonic_s() < deadline_s, f"nobody answers at {sorted(waiting)}")
            for name, path in list(waiting.items()):
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"http://127.0.0.1:{_port(place, name)}{path}", trust_env=False).status_code == 200:
                        del waiting[name]
            time.sleep(1)
    return ", ".join(str(_port(place, name)) for name in paths)


def _port(place: Place, name: str) -> int:
    return place.ports[f"BEEGRID_{name}_PORT"]
