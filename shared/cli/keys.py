"""`beegrid keys`: every key of the suite with its age, and its exchange without an outage. Secrets are shown once."""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from shared.cli import arguments, sealing
from shared.cli.client import Client, CliError, connect
from shared.cli.screen import Screen, folding, show_secret
from shared.cli.users import ours_or_refuse
from shared.kit import clock
from shared.kit.ids import new_id

keys_app = typer.Typer(help="密钥 / Keys: list, rotate", no_args_is_help=True)
out = Screen()


class Kind(StrEnum):
    """What can be rotated."""

    SIGNING = "signing"
    WEBHOOK = "webhook"
    KAFKA = "kafka"
    SEALING = "sealing"


@keys_app.command("list")
def list_keys() -> None:
    """列出密钥 / Every key with its age and end; never a secret."""
    client = connect()
    table = folding("kind", "whose", "key", "made", "ends / state")
    for company in client.pages("/v1/companies"):
        for key in client.get(f"/v1/companies/{company['code']}")["keys"]:
            if key["active"]:
                ends = f"refused after {_short(key['expires_at'])}" if key["expires_at"] else "until revoked"
                table.add_row(Kind.SIGNING, company["code"], key["key_id"], _aged(key["created_at"]), ends)
    for hook in client.pages("/v1/webhooks"):
        until = (
            f"the former signs too until {_short(hook['previous_until'])}" if hook["previous_until"] else "one secret"
        )
        table.add_row(Kind.WEBHOOK, hook["company"], "", f"changed {_aged(hook['updated_at'])}", until)
    for user in _kafka_users():
        table.add_row(Kind.KAFKA, user, "SCRAM-SHA-512", "Kafka doesn't say", "until rotated")
    found = sealing.ask(client)
    for number, (key, count) in enumerate(sealing.counted(found)):
        state = f"{'seals' if number == 0 else 'unseals only'}; {count} secrets are under it"
        table.add_row(Kind.SEALING, "the suite", key["id"], _aged(key["made_at"]), state)
    issuer = sorted({kid for one in found.values() for kid in one["issuer"]})
    for kid in issuer:
        table.add_row("issuer (JWKS)", "identity provider", kid, "", "as long as the provider publishes it")
    out.print(table)


@keys_app.command("rotate")
def rotate(
    kind: Annotated[Kind, typer.Argument(help="signing, webhook, kafka: of a company; sealing: the suite's")],
    name: Annotated[
        str, typer.Argument(help="企业代码 / the company's code; none for sealing", callback=arguments.code)
    ] = "",
    overlap_hours: Annotated[float, typer.Option(help="signing: how long the older keys stay good", min=0)] = 24.0,
    apply: Annotated[
        bool, typer.Option("--apply", help="sealing: do the next step; without it, it is only shown")
    ] = False,
) -> None:
    """更换密钥 / A new key beside the old one, which stays good for a while; the new secret is shown once."""
    client = connect()
    if kind is Kind.SEALING:
        sealing.next_step(client, apply=apply)
        return
    if not name:
        raise CliError("请指明企业 / Whose key?", "name the company", hint="`beegrid companies list`")
    client.get(f"/v1/companies/{name}")
    from shared.cli.cluster import kafka_answers

    with kafka_answers("`beegrid doctor`; then the same again"):
        {Kind.SIGNING: _rotate_signing, Kind.WEBHOOK: _rotate_webhook, Kind.KAFKA: _rotate_kafka}[kind](
            client, name, overlap_hours
        )


@keys_app.command("end-kafka")
def end_kafka(
    company: arguments.Code,
    user: Annotated[str, typer.Argument(help="用户 / the user that is to end, as `keys rotate kafka` has named it")],
    apply: Annotated[bool, typer.Option("--apply", help="do it; without this nothing happens")] = False,
) -> None:
    """停用旧 Kafka 用户 / End the overlap of a rotation: the former user may do nothing any more."""
    from shared.cli.cluster import kafka_answers, the_cluster
    from shared.provision.topology import company_users, end_company_user

    cluster = the_cluster()
    known = {cluster.user_prefix + one: one for one in company_users(company)}
    if user not in known:
        raise CliError("不是该企业的用户 / Not a user of this company", f"{user}; it has {', '.join(known)}")
    if not apply:
        out.print(f"将停用 / Would end {user}; 加 --apply 执行 / add --apply", highlight=False)
        return
    with kafka_answers("nothing was ended; `beegrid doctor`, then the same again"):
        end_company_user(cluster, known[user])
    out.print(f"[green]已停用 / Ended[/green] {user}", highlight=False)


def _rotate_signing(client: Client, code: str, overlap_hours: float) -> None:
    until = clock.now() + timedelta(hours=overlap_hours)
    made = client.post(
        f"/v1/companies/{code}/keys",
        params={"overlap_hours": str(overlap_hours)},
        headers={"idempotency-key": str(new_id())},
    )
    show_secret("签名密钥 / Signing key", made["secret"])
    out.print(f"旧密钥有效至 / The older keys are good until {_short(until.isoformat())}, then refused by themselves")


def _rotate_webhook(client: Client, code: str, _overlap_hours: float) -> None:
    known = next((one for one in client.pages("/v1/webhooks") if one["company"] == code), None)
    if known is None:
        raise CliError("企业没有回调地址 / No webhook", code, hint="the company sets one: PUT /v1/webhooks")
    made = client.put("/v1/webhooks", {"url": known["url"], "rotate": True, "company": code})
    show_secret("回调密钥 / Webhook secret", made["secret"])
    out.print(f"两者同签至 / Both secrets sign until {_short(made['previous_until'])}")


def _rotate_kafka(_client: Client, code: str, _overlap_hours: float) -> None:
    ours_or_refuse()
    from shared.cli.cluster import the_cluster
    from shared.provision.topology import (
        company_user_at_work,
        company_users,
        company_users_at_work,
        give_company_user,
    )

    cluster = the_cluster()
    if len(both := company_users_at_work(cluster, code)) > 1:
        names = [cluster.user_prefix + one for one in both]
        raise CliError(
            "上次轮换尚未结束 / The last rotation is not over",
            f"{' and '.join(names)} are both good; nothing was changed",
            hint=f"when the company uses the newer one: beegrid keys end-kafka {code} FORMER_USER --apply",
        )
    former = company_user_at_work(cluster, code)
    fresh = next(one for one in company_users(code) if one != former)
    password = secrets.token_urlsafe(24)
    give_company_user(cluster, code, fresh, password)
    show_secret(f"Kafka {cluster.user_prefix}{fresh}", password)
    ended = cluster.user_prefix + former
    out.print(
        f"旧用户仍有效 / {ended} stays good until: beegrid keys end-kafka {code} {ended} --apply",
        soft_wrap=True,
        highlight=False,
    )


def _kafka_users() -> list[str]:
    """Users of companies and city systems; none where the cluster's administrator is unknown."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.cluster import find_cluster, kafka_answers
    from shared.cli.outside_client import CHECKING
    from shared.provision.kafka import connect_admin, scram_users

    cluster = find_cluster()
    if cluster is None:
        return []
    with kafka_answers("`beegrid doctor`; then the same again"):
        names = scram_users(connect_admin(cluster.bootstrap, cluster.admin))
    begins = tuple(f"{cluster.user_prefix}{kind}-" for kind in ("company", "system"))
    # users of checks are never deleted (see lock_out), and nobody has their passwords
    return sorted(name for name in names if name.startswith(begins) and not name.endswith(CHECKING))


def _short(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"


def _aged(at: str | None) -> str:
    if at is None:
        return "not stated"
    days = (clock.now() - datetime.fromisoformat(at)).days
    return f"{_short(at)} ({days} d)"
