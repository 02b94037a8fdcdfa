"""The front door's routes, as services declare them, written as a Gateway API HTTPRoute; Caddy has the same."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.devtools.kube import plan
from shared.provision.services import about, in_place

Yaml = dict[str, Any]
OF_A_COLLECTION = re.compile(r"^/v1/[\w-]+:[\w-]+$")


@dataclass(frozen=True)
class Route:
    """What one service answers: `exact` addresses, and those below `prefixes`."""

    service: str
    exact: tuple[str, ...]
    prefixes: tuple[str, ...]

    def takes(self, path: str) -> bool:
        """Gateway API's rule: a prefix matches whole path elements only."""
        below = any(path == prefix or path.startswith(f"{prefix}/") for prefix in self.prefixes)
        return below or path in self.exact


def paths_of(service: str) -> list[str]:
    """What a service answers at the front door, in Caddy's words: `/v1/cases*` is all that begins so."""
    return [*about(service).paths, f"/ops/{service}/*"]


def table(root: Path) -> list[Route]:
    """The routes of all services.

    Caddy's `/v1/cases*` also takes `/v1/cases:transition`, which Gateway API's prefix doesn't: such actions of a
    collection come from the OpenAPI documents as exact addresses.
    """
    found = []
    for service in in_place(root):
        paths = paths_of(service)
        exact = [path for path in paths if not path.endswith("*")]
        prefixes = [path.rstrip("*").rstrip("/") for path in paths if path.endswith("*")]
        actions = [path for path in public_paths(root, service) if OF_A_COLLECTION.match(path)]
        found.append(Route(service, tuple(exact + actions), tuple(prefixes)))
    return found


def public_paths(root: Path, service: str) -> list[str]:
    """All addresses in a service's OpenAPI document."""
    file = root / "docs" / "openapi" / f"{service}.json"
    return sorted(json.loads(file.read_text(encoding="utf-8"))["paths"]) if file.exists() else []


def http_route(root: Path) -> Yaml:
    """One rule a service; the Gateway is the overlay's.

    What a server would fill in is written out: a second apply finds nothing to send then.
    """
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "beegrid", "labels": plan.PART_OF},
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "beegrid"}],
            "rules": [
                {
                    "name": route.service,
                    "matches": [
                        *({"path": {"type": "Exact", "value": path}} for path in route.exact),
                        *({"path": {"type": "PathPrefix", "value": path}} for path in route.prefixes),
                    ],
                    "backendRefs": [
                        {"group": "", "kind": "Service", "name": route.service, "port": plan.PORT, "weight": 1}
                    ],
                    "timeouts": {"request": "65s"},
                }
                for route in table(root)
            ],
        },
    }
