"""`make rotate NAME=…`: a new password for the administrator of Postgres or Kafka, in the server and in .env.

All other passwords need no such thing: emptied in .env and made by `make env`, the next set-up gives them to roles and
users. These two are what set-up logs in with, and their servers keep them in their volumes.
"""

import argparse
import secrets
import sys
from collections.abc import Callable

from shared.devtools import compose_env
from shared.devtools.containers import engine
from shared.devtools.containers.engine import EngineError, compose

NEXT = "_NEXT"
"""Of the name under which .env has the new password until the server has it: broken off, the same one is taken."""


def _postgres(_old: str, new: str) -> None:
    """By the server's own socket, which asks for no password: so nobody can lock themselves out."""
    sql = f"ALTER ROLE postgres PASSWORD '{new}';\n"
    compose("exec", "-T", "postgres", "psql", "-v", "ON_ERROR_STOP=1", "-qU", "postgres", "-f", "-", given=sql)


def _kafka(old: str, new: str) -> None:
    """As the administrator with the old password; with the new one where a run before has got so far."""
    try:
        _kafka_as(old, new)
    except EngineError as error:
        if "refuses the user" not in str(error):
            raise
        _kafka_as(new, new)


def _kafka_as(password: str, new: str) -> None:
    # by the environment: a command line is everybody's to read
    secret = {"BEEGRID_KAFKA_ADMIN_PASSWORD": password, "NEW_PASSWORD": new}
    given = [word for name in secret for word in ("-e", name)]
    tool = ["--entrypoint", "python", "toolbox", "-m", "shared.provision.administrator"]
    compose("--profile", "tools", "run", "--rm", "--no-deps", "-T", *given, *tool, environment=secret)


SERVERS: dict[str, tuple[str, Callable[[str, str], None]]] = {
    "POSTGRES_PASSWORD": ("postgres", _postgres),
    "KAFKA_ADMIN_PASSWORD": ("kafka", _kafka),
}


def rotate(name: str) -> None:
    """Give the server a new password, then .env.

    Raises:
        EngineError: the server doesn't take it; .env has both, and the same again goes on.
        KeyError: .env has none to replace.
    """
    _, change = SERVERS[name]
    known = compose_env.assignments(compose_env.present())
    old, new = known[name], known.get(name + NEXT) or secrets.token_urlsafe(24)
    compose_env.written(_with(compose_env.present(), {name + NEXT: new}))
    change(old, new)
    compose_env.written(_with(compose_env.present(), {name: new, name + NEXT: None}))


def _with(text: str, values: dict[str, str | None]) -> str:
    """The text of a .env with these values; a name without one leaves."""
    left, lines = dict(values), []
    for line in text.splitlines():
        name, found, _ = line.partition("=")
        if not found or line.lstrip().startswith("#") or name.strip() not in values:
            lines.append(line)
        elif (value := left.pop(name.strip())) is not None:
            lines.append(f"{name.strip()}={value}")
    lines += [f"{name}={value}" for name, value in left.items() if value is not None]
    return "\n".join(lines) + "\n"


def main() -> int:
    """0: the server and .env have the new one; 1: the words say what to do."""
    parser = argparse.ArgumentParser(prog="make rotate")
    parser.add_argument("name", choices=sorted(SERVERS), metavar="NAME", help=", ".join(sorted(SERVERS)))
    name = parser.parse_args().name
    server, _ = SERVERS[name]
    try:
        if away := engine.absent():
            raise EngineError(f"no container engine answers: {away}")
        rotate(name)
        # the container has the former one in its variables, and so have those that log in with it
        compose("up", "--detach", "--no-deps", "--wait", server)
        compose("run", "--rm", "--no-deps", "setup")
    except (EngineError, KeyError) as error:
        print(f"stopped: {error}\nrun the same again when that is repaired: it continues", file=sys.stderr)
        return 1
    print(f"{name}: {server} has a new one, and .env; set-up has logged in with it. Keep the new .env in a safe place.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
