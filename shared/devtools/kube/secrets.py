"""`python -m shared.devtools.kube.secrets [--issuer FOLDER] | kubectl create -f -`: the Secrets of a new cluster.

Once: a second run makes other passwords, which `create` refuses and `apply` would put into the first ones' place. Keep
what it prints where the city keeps its secrets. Not in it are the Secrets that operators make (Kafka users,
certificates) and those that only the city knows (object stores, mail, a proxy).

`--service NAME | kubectl apply --server-side --field-manager NAME -f -`: those of one service more, in a cluster that
runs; the server adds its keys to the Secret that has all passwords.

`--small HOST`: with what operators would make, for the overlay `small`; companies call its Kafka by the name HOST.
With `--certificates` only new certificates, before the former ones end: apply them, then restart everything.
"""

import argparse
import base64
import secrets
import sys
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.identity import Identity
from shared.devtools.kube import plan, small_secrets
from shared.provision.services import service_names

Yaml = dict[str, Any]
ADMIN = "beegrid_admin"


def made_here() -> dict[str, dict[str, str]]:
    """Secrets by name, with fresh values."""
    services = service_names()
    owner, app = ({name: secrets.token_urlsafe(24) for name in services} for _ in range(2))
    return {
        "beegrid-passwords": {
            **{f"{name}_owner": owner[name] for name in services},
            **{f"{name}_app": app[name] for name in services},
        },
        **{f"{name}-postgres": {"password": app[name]} for name in services},
        f"{plan.POSTGRES}-admin": {"username": ADMIN, "password": secrets.token_urlsafe(24)},
        plan.VALKEY: {"password": secrets.token_urlsafe(24)},
        "beegrid-sealing": {"key": base64.b64encode(secrets.token_bytes(32)).decode()},
    }


def of_service(name: str) -> dict[str, dict[str, str]]:
    """What a service needs that is added to a running cluster: its own Secret, and its keys of the set-up job's."""
    made = made_here()
    passwords = {
        key: word for key, word in made["beegrid-passwords"].items() if key in (f"{name}_owner", f"{name}_app")
    }
    return {"beegrid-passwords": passwords, f"{name}-postgres": made[f"{name}-postgres"]}


def object_store() -> dict[str, dict[str, str]]:
    """For the component object-store; a city with a store of its own gives that one's keys."""
    return {
        "beegrid-photo-store": {"access_key": f"GK{secrets.token_hex(12)}", "secret_key": secrets.token_hex(32)},
        "object-store": {"rpc_secret": secrets.token_hex(32)},
    }


def made_by_operators() -> dict[str, set[str]]:
    """Secrets that Strimzi and CloudNativePG make, with the keys we read."""
    users = {name: {"password"} for name in (*service_names(), "keda", plan.KAFKA_ADMIN)}
    return {**users, f"{plan.KAFKA}-cluster-ca-cert": {"ca.crt"}, f"{plan.POSTGRES}-ca": {"ca.crt"}}


def given_by_the_city() -> dict[str, set[str]]:
    """Secrets that a city brings itself."""
    keys = {"access_key", "secret_key"}
    urls = {plan.MAIL_SECRET: {"url"}, plan.PROXY_SECRET: {"url"}}
    stores = {"beegrid-photo-store": keys, "beegrid-backup-store": keys}
    return {**stores, **urls, "beegrid-front-door": {"tls.crt", "tls.key"}}


def manifest(name: str, data: dict[str, str]) -> Yaml:
    """As kubectl wants it."""
    kind = "kubernetes.io/basic-auth" if "username" in data else "Opaque"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name),
        "type": kind,
        "data": {key: base64.b64encode(word.encode()).decode() for key, word in data.items()},
    }


def metadata(name: str) -> Yaml:
    """Without the suite's own label: whoever prunes by that would take the sealing key, and all that it seals."""
    return {"name": name, "namespace": plan.NAMESPACE, "labels": plan.MADE_ONCE, "annotations": plan.KEPT}


def _wanted(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    if options.certificates:
        return small_secrets.certificates(options.small)
    if options.service:
        made = of_service(options.service)
        return together(made, small_secrets.users([options.service])) if options.small else made
    made = {**made_here(), **(object_store() if options.issuer or options.small else {})}
    return together(made, small_secrets.everything(service_names(), options.small)) if options.small else made


def together(*parts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Secrets of several makers; keys of the same Secret come together."""
    found: dict[str, dict[str, str]] = {}
    for name, data in (pair for part in parts for pair in part.items()):
        found[name] = {**found.get(name, {}), **data}
    return found


def main() -> int:
    """Print the Secrets, and with --issuer the ConfigMap of a demo issuer's public keys."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.kube.secrets", description=__doc__)
    parser.add_argument(
        "--issuer", type=Path, help="folder of an issuer for a trial cluster; made where it isn't there"
    )
    parser.add_argument("--service", choices=service_names(), help="only what this service adds to a running cluster")
    parser.add_argument("--small", metavar="HOST", help="for a cluster without operators; companies call Kafka so")
    parser.add_argument("--certificates", action="store_true", help="with --small: only new certificates")
    options = parser.parse_args()
    if options.certificates and not options.small:
        parser.error("--certificates needs --small HOST")
    wanted = _wanted(options)
    found = [manifest(name, data) for name, data in wanted.items()]
    if options.issuer:
        Identity.open(options.issuer)
        keys = (options.issuer / "jwks.json").read_text(encoding="utf-8")
        head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("beegrid-identity")}
        found.append({**head, "data": {"jwks.json": keys}})
    print(yaml.safe_dump_all(found, sort_keys=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
