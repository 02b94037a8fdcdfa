"""`make env`: .env for docker compose, with a fresh secret for every empty name of .env.example. Never replaces one."""

import secrets
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

from shared.cli.whole_files import FOR_THE_OWNER, whole_text
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


def main() -> int:
    """Write .env, readable by its owner only."""
    target = ROOT / TARGET
    present = target.read_text() if target.exists() else ""
    text = filled((ROOT / EXAMPLE).read_text(), present)
    with whole_text(target, mode=FOR_THE_OWNER) as file:
        file.write(text)
    print(f"{target.relative_to(ROOT)}: {len(assignments(text))} names; keep it out of version control")
    return 0


if __name__ == "__main__":
    sys.exit(main())
