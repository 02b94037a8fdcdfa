"""What the front door writes down of requests that failed."""

import contextlib
import json
from pathlib import Path

import httpx

from shared.devtools.gen.files import ROOT
from shared.devtools.infra.caddy import start_caddy
from shared.devtools.infra.ports import free_port
from shared.devtools.infra.watchdog import Guard

NUMBER, LINK, TOKEN = "13777012345", "eyJzZWNyZXQiOiJsaW5rIn0", "Bearer-of-somebody"


def test_neither_numbers_nor_links_nor_tokens_stay_in_it(tmp_path: Path) -> None:
    """Riders' numbers are part of addresses, and a page's link is all that one needs to open it."""
    port, away = free_port(), {"HOST": "127.0.0.1", "PORT": str(free_port())}
    upstreams = {f"{name}_{what}": at for name in ("RIDERS", "TRACKING", "NOTIFICATIONS") for what, at in away.items()}
    upstreams["BEEGRID_DOOR_PATIENCE"] = "1s"
    log = tmp_path / "caddy.log"
    with contextlib.closing(Guard()) as guard:
        caddy = start_caddy(
            guard, (ROOT / "Caddyfile").read_text(), port, {"BEEGRID_PORT": str(port), **upstreams}, log
        )
        with httpx.Client(base_url=caddy.url, headers={"Authorization": TOKEN}, trust_env=False) as client:
            answers = [
                client.put(f"/v1/riders/{NUMBER}", json={}),
                client.get("/v1/riders", params={"company": "suda", "external_id": NUMBER}),
                client.get(f"/r/{LINK}"),
                client.get("/v1/inbox", headers={"X-Rider": NUMBER}),
                client.get(f"/ops/riders/dead-letters?after={NUMBER}"),
            ]
        caddy.stop()
    assert {answer.status_code for answer in answers} == {503}
    written = log.read_text()
    assert not [one for one in (NUMBER, LINK, TOKEN) if one in written]
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    failed = [line["request"]["uri"] for line in lines if line.get("status") in (502, 503)]
    assert failed == ["/v1/riders", "/v1/riders", "/r", "/v1/inbox", "/ops/riders"]
