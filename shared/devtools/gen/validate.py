"""`python -m shared.devtools.gen.validate`: docs/asyncapi.yaml against the AsyncAPI specification, and the schemas of
events against a strict validator, where Node is there.

The structural tests in tests/contracts need no Node and always run; this is the second opinion, by the specification's
own parser.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.devtools.gen.asyncapi import TARGET
from shared.devtools.gen.files import ROOT

SOURCE = Path(__file__).parent / "asyncapi_check"
FILES = ("package.json", "package-lock.json", "check.mjs", "schemas.mjs")
EVENTS = ROOT / "shared/events"
INSTALL_TIMEOUT_S = 300
CHECK_TIMEOUT_S = 120


class NodeMissing(Exception):
    """Neither node nor npm on the PATH."""


def installed(folder: Path) -> Path:
    """The parser, installed below build/ from its lock file; again only when the lock has changed.

    Raises:
        NodeMissing: there is nothing to install it with.
        subprocess.CalledProcessError: npm failed.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NodeMissing("node and npm are not on the PATH")
    lock = (SOURCE / "package-lock.json").read_bytes()
    mark = folder / "node_modules" / ".installed-lock"
    fresh = mark.exists() and mark.read_bytes() == lock
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(SOURCE / name, folder / name)
    if not fresh:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_TIMEOUT_S)
        mark.write_bytes(lock)
    return Path(node)


def validate(document: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the parser over one document; its return code is 0 when it has nothing to say, not even a hint."""
    return _run("check.mjs", document, folder)


def validate_schemas(events: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ajv, strict, over the schemas and examples below a folder, with the words of its vocabulary."""
    return _run("schemas.mjs", events, folder)


def _run(script: str, what: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    node = installed(folder)
    return subprocess.run(
        [node, folder / script, what.resolve()],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_TIMEOUT_S,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the parser says. Without Node: 0 and a word, or 1 with --strict."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.gen.validate", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="fail when Node is missing")
    options = parser.parse_args(arguments)
    try:
        folder = ROOT / "build" / "asyncapi_check"
        ran = [validate(ROOT / TARGET, folder), validate_schemas(EVENTS, folder)]
    except NodeMissing as missing:
        print(f"skipped: AsyncAPI parser: {missing}", file=sys.stderr)
        return 1 if options.strict else 0
    for done in ran:
        print((done.stdout + done.stderr).strip())
    return max(done.returncode for done in ran)


if __name__ == "__main__":
    sys.exit(main())
