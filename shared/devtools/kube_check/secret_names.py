"""Every Secret that a manifest reads is made by somebody who is known, with the key that is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.devtools.kube import secrets, small_secrets
from shared.devtools.kube_check.render import Yaml, name_of
from shared.provision.services import service_names


def known() -> dict[str, set[str]]:
    """Names and keys of all Secrets, whoever makes them."""
    instead = small_secrets.everything(service_names(), "kafka.example.org")
    made = secrets.together(instead, secrets.made_here(), secrets.object_store())
    ours = {name: set(data) for name, data in made.items()}
    return {**secrets.given_by_the_city(), **secrets.made_by_operators(), **ours}


def check(objects: Sequence[Yaml], _root: Path) -> list[str]:
    """Findings of an overlay."""
    there = known()
    found = []
    for one in objects:
        for name, key in read(one):
            if name not in there:
                found.append(f"{name_of(one)}: nobody makes the Secret {name}")
            elif key and key not in there[name]:
                found.append(f"{name_of(one)}: the Secret {name} has no {key}")
    return found


def read(node: Any) -> Iterator[tuple[str, str]]:
    """Names and keys of Secrets below a node; the key is empty where a whole Secret is mounted."""
    if isinstance(node, list):
        for part in node:
            yield from read(part)
    if not isinstance(node, dict):
        return
    for word, value in node.items():
        if word in ("secretKeyRef", "accessKeyId", "secretAccessKey") and isinstance(value, dict):
            yield value["name"], value["key"]
        elif word == "secretTargetRef":
            yield from ((part["name"], part["key"]) for part in value)
        elif word == "secret" and isinstance(value, dict) and "secretName" in value:
            yield from ((value["secretName"], item["key"]) for item in value.get("items", [{"key": ""}]))
        elif word == "certificateRefs":
            yield from ((part["name"], "") for part in value)
        elif word in ("passwordSecret", "secret", "secretRef") and isinstance(value, dict) and "name" in value:
            yield value["name"], ""
        else:
            yield from read(value)
