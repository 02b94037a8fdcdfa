"""What operators would make, made here for the overlay `small`: Kafka's users, an authority, servers' certificates."""

import base64
import secrets
import uuid

from shared.devtools.kube import plan
from shared.devtools.kube.certificates import Authority, Certificate
from shared.kit import clock


def users(services: list[str]) -> dict[str, dict[str, str]]:
    """A password for each service's Kafka user, in its own Secret and in the set-up job's."""
    made = {name: secrets.token_urlsafe(24) for name in services}
    return {
        "beegrid-passwords": {f"{name}_kafka": word for name, word in made.items()},
        **{name: {"password": word} for name, word in made.items()},
    }


def certificates(kafka_host: str) -> dict[str, dict[str, str]]:
    """Of both servers, by the names that services call them, and `kafka_host`, which companies call."""
    authority = Authority("BeeGrid", clock.now())
    kafka = authority.server([*_names(f"{plan.KAFKA}-kafka-bootstrap"), kafka_host])
    postgres = authority.server(_names(f"{plan.POSTGRES}-rw"))
    return {
        "beegrid-kafka-server": {"server.pem": key_store(kafka)},
        "beegrid-postgres-server": {"tls.crt": postgres.certificate, "tls.key": postgres.key},
        f"{plan.KAFKA}-cluster-ca-cert": {"ca.crt": kafka.authority},
        f"{plan.POSTGRES}-ca": {"ca.crt": postgres.authority},
    }


def everything(services: list[str], kafka_host: str) -> dict[str, dict[str, str]]:
    """All Secrets that the overlay has beside those of every installation."""
    return {
        **users(services),
        **certificates(kafka_host),
        plan.KAFKA_ADMIN: {"password": secrets.token_urlsafe(24)},
        "beegrid-kafka-storage": {"cluster_id": cluster_id()},
    }


def cluster_id() -> str:
    """As kafka-storage.sh random-uuid makes it: 16 bytes, which must not begin with a dash."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return made


def key_store(made: Certificate) -> str:
    """Key and chain in one file, as Kafka reads a PEM key store."""
    return made.key + made.certificate + made.authority


def _names(service: str) -> list[str]:
    return [service, f"{service}.{plan.NAMESPACE}", f"{service}.{plan.NAMESPACE}.svc"]
