"""`make env`: .env for docker compose, with a fresh secret for every empty name of .env.example. Never replaces one.

Before that it looks for what would go wrong later: secrets that old volumes were made with, an engine that is too old;
after it for ports that are taken, and files that containers could not read.
"""

import argparse
import secrets
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

from shared.cli.whole_files import FOR_THE_OWNER, whole_text
from shared.devtools.containers import engine, preflight
from shared.devtools.installation import ROOT

EXAMPLE, TARGET = ".env.example", ".env"


def _password() -> str:
    # only letters, digits, - and _: it is put into URLs
    return secrets.token_urlsafe(24)


MADE_OTHERWISE: dict[str, Callable[[], str]] = {
    "SEALING_KEY": lambda: b64encode(secrets.token_bytes(32)).decode(),
    "KAFKA_CLUSTER_ID": lambda: urlsafe_b64encode(b"\x01" + secrets.token_bytes(15)).decode().rstrip("="),
    "GARAGE_RPC_SECRET": lambda: secrets.token_hex(32),
    "PHOTO_STORE_KEY_ID": lambda: f"GK{secrets.token_hex(12)}",
    "PHOTO_STORE_SECRET": lambda: secrets.token_hex(32),
}


def assignments(text: str) -> dict[str, str]:
    """NAME=value lines; comments and empty lines are skipped."""
    pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#")]
    return {name.strip(): value.strip() for name, value in pairs}


def filled(example: str, present: str) -> str:
    """The example with the present file's values, and new secrets where neither has one."""
    known = assignments(present)
    lines = []
    for line in example.splitlines():
        if "=" not in line or line.lstrip().startswith("#"):
            lines.append(line)
            continue
        name, value = (part.strip() for part in line.split("=", 1))
        value = known.pop(name, "") or value or MADE_OTHERWISE.get(name, _password)()
        lines.append(f"{name}={value}")
    # what somebody has added by hand stays
    lines += [f"{name}={value}" for name, value in known.items()]
    return "\n".join(lines) + "\n"


def written(text: str) -> None:
    """Make this the project's .env, readable by its owner only."""
    with whole_text(ROOT / TARGET, mode=FOR_THE_OWNER) as file:
        file.write(text)


def present() -> str:
    """The text of the project's .env, empty where there is none."""
    target = ROOT / TARGET
    return target.read_text(encoding="utf-8") if target.exists() else ""


LOST = """\
.env is gone or has lost secrets that volumes of this project were made with:
  {lost}
Put the former .env back: nothing else gives these volumes' content back. To begin again without it:
  docker compose -p {project} down --volumes     # by the name alone; it removes all data
Or keep the volumes with new secrets all the same: make env ANYWAY=1"""


def main() -> int:
    """0: .env is whole and the suite can start; 1: it can't, and the words say why."""
    parser = argparse.ArgumentParser(prog="make env")
    parser.add_argument("--anyway", action="store_true", help="new secrets though volumes were made with others")
    wanted = parser.parse_args()
    away = engine.absent()
    before = present()
    if away:
        print(f"no container engine answers ({away}): its version, volumes and ports were not looked at")
    else:
        if old := engine.too_old():
            print("\n".join(old), file=sys.stderr)
            return 1
        lost = preflight.forgotten(assignments(before), engine.volumes())
        if lost and not wanted.anyway:
            print(LOST.format(lost="\n  ".join(lost), project=engine.project()), file=sys.stderr)
            return 1
    text = filled((ROOT / EXAMPLE).read_text(encoding="utf-8"), before)
    written(text)
    print(f"{TARGET}: {len(assignments(text))} names; keep a copy in a safe place, and out of version control")
    if changed := preflight.readable(ROOT):
        print(f"made readable for containers, which are other users: {len(changed)} files and folders")
    found = [] if away else preflight.ports(ROOT)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
