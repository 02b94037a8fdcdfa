"""`… new_service NAME [--zh 名称] [--deed ACTION]`: the files of a new service, and `make gen` for the rest."""

import argparse
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jinja2
import yaml

from shared.devtools.gen.files import ROOT, Generated, write
from shared.devtools.house.about_rules import meet
from shared.devtools.house.place_rules import DRAWERS
from shared.events.deed_done import ACTION
from shared.provision.services import about, service_names

TEMPLATE = Path(__file__).parent / "template"
TARGETS = {"service": "services/{name}", "tests": "tests/services/{name}"}
SUFFIX = ".jinja"
# A Python package, a schema of Postgres, a user of Kafka, a host, a matcher of Caddy: what all of them take
NAME = re.compile(r"^[a-z][a-z0-9]{2,23}$")
# Of Kafka's other users, schemas of Postgres, and the operator's pod
TAKEN = frozenset({"company", "system", "keda", "public", "toolbox"})


class NotMade(Exception):
    """No service of that name can be made; the text says why."""


def refused(root: Path, name: str) -> str:
    """Why a service can't be called so; empty where it can."""
    containers = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    if not NAME.match(name) or keyword.iskeyword(name) or DRAWERS.match(name):
        return f"{name!r}: a word of 3 to 24 small letters and digits that says what it is about, e.g. lockers"
    there = [root / target.format(name=name) for target in TARGETS.values()]
    if name in TAKEN or name in containers or any(folder.exists() for folder in there):
        return f"{name}: the name is taken"
    for other in service_names(root):
        for path in about(other).paths:
            if meet(path, f"/v1/{name}*"):
                return f"{name}: /v1/{name}* would take {path} away from {other}"
    return ""


def rendered(name: str, zh: str, deed: str = "") -> Iterator[tuple[str, str]]:
    """Paths below the repository, and the texts of the files."""
    jinja = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 code and documents, no HTML
    )
    for path in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        part, *rest = path.relative_to(TEMPLATE).parts
        target = "/".join((TARGETS[part].format(name=name), *rest)).removesuffix(SUFFIX)
        yield target, jinja.from_string(path.read_text(encoding="utf-8")).render(name=name, zh=zh or name, deed=deed)


def make(root: Path, name: str, zh: str = "", deed: str = "") -> list[str]:
    """Write the service and whatever is generated; the paths of its own files.

    `deed`: an action of riders that it reports for points, e.g. volunteer-task.

    Raises:
        NotMade: the name can't be, or something could not be generated; then its own files are there nevertheless.
    """
    if why := refused(root, name):
        raise NotMade(why)
    if deed and not re.fullmatch(ACTION, deed):
        raise NotMade(f"{deed!r}: an action is small letters, digits and hyphens, e.g. volunteer-task")
    files = dict(rendered(name, zh, deed))
    write(root, [Generated(files)])
    # a process of its own: this one has already looked for services
    done = subprocess.run(
        [sys.executable, "-m", "shared.devtools.gen", "--root", str(root), "--strict"],
        cwd=root, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise NotMade(f"make gen: {done.stdout}{done.stderr}")
    return list(files)


def main() -> int:
    """Exit status 1 when the service can't be made."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.new_service", description=__doc__)
    parser.add_argument("name", help="small letters, e.g. lockers")
    parser.add_argument("--zh", default="", help="its name in Chinese, e.g. 驿站")
    parser.add_argument("--deed", default="", help="an action of riders that it reports for points: volunteer-task")
    options = parser.parse_args()
    try:
        written = make(ROOT, options.name, options.zh, options.deed)
    except NotMade as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(written))
    print(f"\nNow: say in services/{options.name}/about.py what it is for, and `make gen check`.")
    print("What `make check` doesn't ask, these do, within a minute: make test ARGS='tests/architecture tests/contracts"
          f" tests/known tests/doors/rights tests/services/{options.name} -k {options.name}'")  # fmt: skip
    print("`make up` starts it; containers need `make env` before, a cluster that runs two Secrets (k8s/README.md).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
