"""`beegrid systems`: city systems that read the public topics."""

import secrets
from typing import Annotated

import typer

from shared.cli.arguments import Code, Password
from shared.cli.client import CliError
from shared.cli.screen import secret_out, show_lines
from shared.cli.users import ours_or_refuse

systems_app = typer.Typer(help="城市业务系统 / City systems and their Kafka users", no_args_is_help=True)


@systems_app.callback()
def systems() -> None:
    """城市业务系统 / City systems and their Kafka users."""


@systems_app.command("add")
def add(code: Code) -> None:
    """接入城市系统 / Make a Kafka user that may read the public topics and nothing else."""
    _give(code, known=False)


@systems_app.command("password")
def password(code: Code) -> None:
    """更换密码 / Give a city system's user a new password. The old one ends at once."""
    _give(code, known=True)


@systems_app.command("check")
def check(code: Code, password: Password = "") -> None:
    """走通一遍 / Read one record of every public topic, with the rights that the city system has."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.checking import check_system
    from shared.cli.cluster import kafka_answers, the_cluster

    with kafka_answers("`beegrid doctor`; then the same again"):
        check_system(the_cluster(), code, password, secret_out)
    secret_out.print("[green]全部可读 / Everything can be read[/green]")


@systems_app.command("remove")
def remove(
    code: Code, apply: Annotated[bool, typer.Option("--apply", help="do it; without this nothing happens")] = False
) -> None:
    """城市系统退出 / A city system leaves: its Kafka user may do nothing any more."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.cluster import kafka_answers, the_cluster
    from shared.provision.topology import remove_system, system_user

    cluster = the_cluster()
    user = cluster.user_prefix + system_user(code)
    if not apply:
        secret_out.print(f"将停用 / Would end {user}; 加 --apply 执行 / add --apply", highlight=False)
        return
    with kafka_answers("the same again: it continues"):
        gone = remove_system(cluster, code)
    if not gone.users:
        raise CliError("未接入 / Unknown system", f"no user {user}", hint="`beegrid keys list` names all")
    secret_out.print(f"[green]已停用 / Ended[/green] {user}", highlight=False)


def _give(code: str, *, known: bool) -> None:
    ours_or_refuse()
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.cluster import kafka_answers, the_cluster
    from shared.cli.joining import of_system, system_lines
    from shared.provision.kafka import connect_admin, scram_users
    from shared.provision.topology import provision_system, system_user

    cluster = the_cluster()
    user = cluster.user_prefix + system_user(code)
    with kafka_answers("`beegrid doctor`; then the same again"):
        there = user in scram_users(connect_admin(cluster.bootstrap, cluster.admin))
    if there and not known:
        raise CliError(
            "已接入 / Known already",
            f"{user} has a password; nothing was changed",
            hint=f"a new one, which ends the old one: `beegrid systems password {code}`",
        )
    if known and not there:
        raise CliError("未接入 / Unknown system", f"no user {user}", hint=f"`beegrid systems add {code}`")
    word = secrets.token_urlsafe(24)
    with kafka_answers("the same again: it continues"):
        provision_system(cluster, code, word)
    show_lines(system_lines(of_system(cluster, code, word)))
