"""`beegrid companies`: platform companies, their signing keys, their way in over Kafka."""

import secrets
from typing import Annotated

import typer

from shared.cli.arguments import Code, Password
from shared.cli.client import connect
from shared.cli.screen import Cells, Screen, show_lines, show_secret, shown
from shared.cli.users import made_elsewhere, ours_or_refuse, where_from
from shared.kit.ids import new_id

companies_app = typer.Typer(help="平台企业 / Companies and their keys", no_args_is_help=True)
out = Screen()
KEY = "签名密钥 / Signing key"


@companies_app.command("add")
def add(
    code: Code,
    name: Annotated[str, typer.Option(help="名称 / name; the code if not given")] = "",
    no_kafka: Annotated[bool, typer.Option("--no-kafka", help="只登记 / register it, make no Kafka login")] = False,
) -> None:
    """登记企业 / Register a company; its key and Kafka password are shown once."""
    registered_only = made_elsewhere() or no_kafka
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.joining import http_lines

    client = connect()
    made = client.post("/v1/companies", {"code": code, "name": name or code})
    out.print(f"[green]已登记 / Registered[/green] {code}")
    show_secret(KEY, made["key"]["secret"])
    show_lines(http_lines(client.url, code))
    if registered_only:
        out.print(where_from(code), soft_wrap=True, highlight=False)
        return
    _give_kafka(code, wanted=False)


@companies_app.command("list")
def list_companies() -> None:
    """列出企业 / List the companies."""
    table = Cells("code", "name", "active", "version")
    for one in connect().pages("/v1/companies"):
        table.add_row(one["code"], one["name"], "yes" if one["active"] else "no", str(one["version"]))
    out.print(table)


@companies_app.command("rotate")
def rotate(
    code: Code,
    revoke: Annotated[bool, typer.Option("--revoke", help="end the older keys at once")] = False,
) -> None:
    """更换密钥 / Make a new key. The older ones stay valid until --revoke, so that the company can change over."""
    client = connect()
    made = client.post(f"/v1/companies/{code}/keys", headers={"idempotency-key": str(new_id())})
    show_secret(KEY, made["secret"])
    older = [
        key["key_id"]
        for key in client.get(f"/v1/companies/{code}")["keys"]
        if key["active"] and key["key_id"] != made["key_id"]
    ]
    if not revoke:
        if older:
            out.print(
                f"旧密钥仍有效 / {len(older)} older key(s) stay valid: `beegrid companies rotate {code} --revoke`"
            )
        return
    for key_id in older:
        client.delete(f"/v1/companies/{code}/keys/{key_id}")
        out.print(f"已吊销 / Revoked {shown(key_id)}")


@companies_app.command("kafka")
def kafka(code: Code) -> None:
    """开通 Kafka / Make or complete a company's topics, and its user with a new password, shown once."""
    connect().get(f"/v1/companies/{code}")
    ours_or_refuse()
    _give_kafka(code, wanted=True)


@companies_app.command("check")
def check(code: Code, password: Password = "") -> None:
    """走通一遍 / Send one test report as the company would, follow it through every hop, and take it back. Exit 1 where
    a hop fails or, without a map, isn't seen."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.checking import check_company
    from shared.cli.cluster import kafka_answers, the_cluster

    with kafka_answers("`beegrid doctor`; then the same again"):
        check_company(connect(), the_cluster(), code, password, out)
    out.print("[green]全部走通 / Every hop works[/green]")


@companies_app.command("remove")
def remove(
    code: Code, apply: Annotated[bool, typer.Option("--apply", help="do it; without this nothing happens")] = False
) -> None:
    """企业退出 / A company leaves: it is suspended, its Kafka users and topics end; what it did stays."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.cluster import find_cluster, kafka_answers
    from shared.provision.topology import remove_company

    client = connect()
    known = client.get(f"/v1/companies/{code}")
    cluster = find_cluster()
    if not apply:
        on_kafka = f", and delete inbound.{code}.* and outbound.{code}.* on Kafka with all records" if cluster else ""
        out.print(f"将停用 / Would suspend {code}{on_kafka}; 加 --apply 执行 / add --apply", highlight=False)
        return
    client.put(f"/v1/companies/{code}", {"name": known["name"], "active": False})
    out.print(f"[green]已停用 / Suspended[/green] {code}", highlight=False)
    if cluster is None:
        out.print(f"Kafka 未动 / Kafka is as it was: `beegrid companies remove {code} --apply` as its administrator")
        return
    with kafka_answers(f"{code} is suspended; when Kafka is back: `beegrid companies remove {code} --apply`"):
        gone = remove_company(cluster, code)
    out.print(f"  users     {', '.join(gone.users) or '(none)'}", highlight=False)
    out.print(f"  topics    {', '.join(gone.topics) or '(none)'}", highlight=False)


def _give_kafka(code: str, *, wanted: bool) -> None:
    """Topics and user, where the cluster's administrator is known. `wanted`: say so where it isn't."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.cluster import find_cluster, kafka_answers, the_cluster
    from shared.cli.joining import company_lines, of_company
    from shared.cli.places import place_on_the_map
    from shared.provision.topology import provision_company

    cluster = the_cluster() if wanted else find_cluster()
    if cluster is None:
        out.print(
            f"未开通 Kafka / No Kafka access made: `beegrid companies kafka {code}` with the administrator's access"
        )
        return
    own = secrets.token_urlsafe(24)
    with kafka_answers(f"{code} is registered; when Kafka is back: `beegrid companies kafka {code}`"):
        provision_company(cluster, code, own)
    show_lines(company_lines(of_company(cluster, code, own), code, place_on_the_map(connect())))
