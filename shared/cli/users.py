"""Who makes Kafka's users and their passwords: these commands, or an operator of the cluster from its manifests."""

import os

from shared.cli.client import CliError

VARIABLE = "BEEGRID_KAFKA_USERS_BY"
OURS, STRIMZI = "beegrid", "strimzi"


def made_elsewhere() -> bool:
    """Whether Strimzi makes them, which BEEGRID_KAFKA_USERS_BY says. Raises CliError where it says something else."""
    by = os.environ.get(VARIABLE) or OURS
    if by not in (OURS, STRIMZI):
        raise CliError("设置有误 / A wrong setting", f"{VARIABLE} is {by}", hint=f"{OURS} or {STRIMZI}")
    return by == STRIMZI


def where_from(code: str) -> str:
    """Where a company's Kafka login comes from when no command makes it."""
    if not made_elsewhere():
        return f"未开通 Kafka / No Kafka access made; when it is wanted: `beegrid companies kafka {code}`"
    # imported here: the other commands don't wait for a Kafka client
    from shared.provision.topology import company_user

    user = company_user(code)
    return (
        f"Kafka 登录由 Strimzi 提供 / Its Kafka login is Strimzi's: a line `{code}` in the overlay's companies.txt, "
        f"`make gen`, `kubectl apply -k`. User: {user}. Password:\n"
        f"  kubectl -n beegrid get secret {user} -o jsonpath='{{.data.password}}' | base64 -d"
    )


def ours_or_refuse() -> None:
    """Raises CliError where a password made here would be a second one beside Strimzi's, which ends the first."""
    if made_elsewhere():
        raise CliError(
            "Kafka 用户由 Strimzi 管理 / Kafka's users are Strimzi's here",
            f"{VARIABLE} is {STRIMZI}; nothing was changed",
            hint="companies.txt or systems.txt of the overlay; for a new password delete its Secret (k8s/README.md)",
        )
