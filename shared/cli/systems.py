"""`beegrid systems`: city systems that read the public topics."""

import secrets
from typing import Annotated

import typer
from rich.console import Console

systems_app = typer.Typer(help="城市业务系统 / City systems and their Kafka users", no_args_is_help=True)
# Wider than any terminal: a wrapped secret can't be copied.
secret_out = Console(width=200, soft_wrap=True)


@systems_app.callback()
def systems() -> None:
    """城市业务系统 / City systems and their Kafka users."""


@systems_app.command("add")
def add(code: Annotated[str, typer.Argument(help="代码 / code: a-z, 0-9, -; begins with a letter")]) -> None:
    """接入城市系统 / Make (or give a new password to) a Kafka user that may read the public topics and nothing else."""
    # imported here: the other commands don't wait for a Kafka client
    from shared.cli.cluster import the_cluster
    from shared.cli.topology import provision_system, system_user
    from shared.events import registry

    cluster = the_cluster()
    password = secrets.token_urlsafe(24)
    provision_system(cluster, code, password)
    topics = [cluster.topic_prefix + topic.name for topic in registry.public_topics()]
    user = cluster.user_prefix + system_user(code)
    secret_out.print(f"Kafka {cluster.bootstrap} SCRAM-SHA-512", style="bold", highlight=False)
    secret_out.print(f"  user      {user}", highlight=False)
    secret_out.print(f"  password  {password}   (仅显示一次 / shown only now)", highlight=False)
    secret_out.print(f"  topics    {', '.join(topics)}", highlight=False)
    secret_out.print("  客户端    librdkafka ≥ 2.6.1 / clients on librdkafka: docs/city-systems.md", highlight=False)
    secret_out.print(f"  groups    {cluster.topic_prefix}{system_user(code)}.*", highlight=False)
