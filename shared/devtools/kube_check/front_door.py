"""The Caddyfile: services are found by their names as often as they move, and what it refuses itself is a problem."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.devtools.gen.files import ROOT
from shared.kit import problems
from shared.kit.refusals import Problem

Json = dict[str, Any]
CADDY = Path(sys.executable).with_name("caddy")
OFTEN_NS = 5_000_000_000
PATIENCE_LEAST_NS = 8_000_000_000
"""The only container of a service is replaced in less, on a machine that has nothing else to do."""
KNOWN: Mapping[str, Problem] = {one.code: one for one in vars(problems).values() if isinstance(one, Problem)}


def check(root: Path) -> list[str]:
    """All findings; one sentence each."""
    try:
        whole = adapted(root)
    except ValueError as error:
        return [f"Caddyfile: {error}"]
    return [*found_by_name(whole), *refusals(whole)]


def adapted(root: Path = ROOT) -> Json:
    """The Caddyfile as Caddy understands it, with nothing set in its environment.

    Raises:
        ValueError: Caddy's own words.
    """
    with tempfile.TemporaryDirectory(prefix="beegrid-caddy-") as home:
        done = subprocess.run(
            [str(CADDY), "adapt", "--config", str(root / "Caddyfile"), "--adapter", "caddyfile"],
            capture_output=True, text=True, check=False, timeout=60, env={"HOME": home, "PATH": os.environ["PATH"]},
        )  # fmt: skip
    if done.returncode != 0:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    found: Json = json.loads(done.stdout)
    return found


def handlers(node: Any, kind: str) -> Iterator[Json]:
    """All handlers of a kind, however deep."""
    if isinstance(node, dict):
        if node.get("handler") == kind:
            yield node
        for inner in node.values():
            yield from handlers(inner, kind)
    elif isinstance(node, list):
        for inner in node:
            yield from handlers(inner, kind)


def found_by_name(whole: Json) -> Iterator[str]:
    """Each way to a service looks its name up again and again, spreads requests, and waits while nobody is there."""
    ways = list(handlers(whole, "reverse_proxy"))
    if not ways:
        yield "Caddyfile: it leads to no service"
    for way in ways:
        source, balancing = way.get("dynamic_upstreams", {}), way.get("load_balancing", {})
        who = f"Caddyfile: {source.get('name') or way.get('upstreams')}"
        if source.get("source") != "a" or not 0 < source.get("refresh", 0) <= OFTEN_NS:
            yield f"{who}: one that is added or replaced isn't found: `dynamic a` with `refresh`"
        if balancing.get("selection_policy", {}).get("policy") != "least_conn":
            yield f"{who}: requests must go to who has the fewest: `lb_policy least_conn`"
        if balancing.get("try_duration", 0) < PATIENCE_LEAST_NS:
            yield f"{who}: requests must wait while the only one is replaced: `lb_try_duration`"
        if not way.get("health_checks", {}).get("passive", {}).get("fail_duration"):
            yield f"{who}: who has just failed is asked again at once: `fail_duration`"


def refusals(whole: Json) -> Iterator[str]:
    """Whatever the front door answers itself is one of the kit's problems, in its words."""
    servers = whole["apps"]["http"]["servers"].values()
    for server in servers:
        if not server.get("errors", {}).get("routes"):
            yield "Caddyfile: a service that is away is answered without a problem document: `handle_errors`"
    for answer in handlers(whole, "static_response"):
        try:
            said = json.loads(answer["body"])
            known = KNOWN[said["code"]]
        except (KeyError, ValueError):
            yield f"Caddyfile: no problem of the kit: {answer.get('body')}"
            continue
        wanted = {
            "type": f"/problems/{known.code}",
            "title": known.title,
            "status": known.status,
            "code": known.code,
        }
        if {name: said.get(name) for name in wanted} != wanted or answer.get("status_code") != known.status:
            yield f"Caddyfile: {known.code} is not as in shared/kit/problems.py: {answer['body']}"
