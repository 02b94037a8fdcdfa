"""What leaves the process is declared: by the settings that say where to, and by the libraries that speak there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.devtools.gen.settings_doc import settings_class
from shared.devtools.kube_check.given import WAY_SHOWN_BY
from shared.kit.about import Outside
from shared.kit.settings import KitSettings
from shared.provision.services import about, service_names

# A field with such a name says where something is sent to
LEADS = re.compile(r"(_url|_urls|_dsn|_endpoint|_gateway|_proxy|_host|_hosts|_bootstrap|_server|_address)$")
KIT = {
    "postgres_dsn": "postgres",
    "kafka_bootstrap": "kafka",
    "redis_url": "valkey",
    "jwks_url": "identity-provider",
    "otlp_endpoint": "traces",
}
"""Of every service: the ways of the label that all services have (network.py, outside.py)."""
LISTENS = {"http_host"}
OWN = {field: way for way, field in WAY_SHOWN_BY.items()} | {"outbound_proxy": Outside.PUBLIC_HOSTS}
LIBRARIES = {
    "obstore": Outside.OBJECT_STORE,
    "httpx": Outside.PUBLIC_HOSTS,
    "apprise": Outside.MAIL_SERVER,
}
"""What services speak with over the network, by where it leads."""
BY_NAME = re.compile(rf"({'|'.join(LIBRARIES)})(\.\w+)+")
OTHERS = frozenset(
    (
        *(
            "aiohttp",
            "aiosmtplib",
            "boto3",
            "botocore",
            "ftplib",
            "grpc",
            "http.client",
            "imaplib",
            "minio",
            "paramiko",
        ),
        *("poplib", "pycurl", "requests", "smtplib", "telnetlib", "urllib.request", "urllib3", "websockets"),
    )
)
"""Libraries of which it isn't known where they would lead."""


def check(root: Path) -> list[str]:
    """Findings in the settings and the code of all services."""
    return [*kit_settings(), *own_settings(), *(found for name in service_names(root) for found in spoken(root, name))]


def kit_settings() -> Iterator[str]:
    """Every setting of the kit that leads somewhere is known."""
    for field in KitSettings.model_fields:
        if LEADS.search(field) and field not in KIT and field not in LISTENS:
            yield f"shared/kit/settings.py: {field} leads somewhere, and no network way is known for it"


def own_settings() -> Iterator[str]:
    """Every setting of a service that leads somewhere belongs to a way that its about.py declares."""
    for name in service_names():
        ways = {way for need in about(name).needs for way in need.ways}
        for field in settings_class(name).model_fields:
            if field in KitSettings.model_fields or not LEADS.search(field):
                continue
            if field not in OWN:
                yield f"services/{name}/settings.py: {field} leads somewhere, and no network way is known for it"
            elif OWN[field] not in ways:
                yield f"services/{name}/about.py: {OWN[field].value} isn't declared, and the settings have {field}"


def spoken(root: Path, name: str) -> Iterator[str]:
    """A service imports what speaks with the parties that it declares, and nothing else that leaves."""
    ways = {way for need in about(name).needs for way in need.ways}
    imported: dict[str, str] = {}
    for file in sorted((root / "services" / name).rglob("*.py")):
        for module in _imports(ast.parse(file.read_text(encoding="utf-8"))):
            imported.setdefault(module, file.relative_to(root).as_posix())
    for module, where in sorted(imported.items()):
        if module in OTHERS:
            yield f"{where}: imports {module}, of which no network way is known"
        elif module in LIBRARIES and LIBRARIES[module] not in ways:
            yield f"{where}: imports {module}, and services/{name}/about.py declares no {LIBRARIES[module].value}"
    for module, way in LIBRARIES.items():
        if way in ways and module not in imported:
            yield f"services/{name}/about.py: declares {way.value}, and nothing of it imports {module}"


def _imports(tree: ast.AST) -> Iterator[str]:
    """Whole names and first names of what is imported, anywhere in the file; by name in a string, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and BY_NAME.fullmatch(node.value):
            names = [node.value]
        elif isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        else:
            continue
        for one in names:
            yield one
            yield one.split(".")[0]
