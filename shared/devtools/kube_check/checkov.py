"""`python -m shared.devtools.kube_check.checkov`: a second opinion on the rendered production overlay.

Checkov pins old versions of a dozen libraries, so uv keeps an environment of its own for it, made on first use.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check.render import whole

VERSION = "3.3.30"
INSTALL_S, RUN_S = 300, 240
SKIPPED = {
    "CKV_K8S_11": "CPU has requests and no limit on purpose: throttling a consumer makes lag, and nothing else",
    "CKV_K8S_15": "IfNotPresent: tags are never moved, and a registry that is down must not stop a restart",
    "CKV_K8S_35": "the services read settings from the environment only (docs/settings.md); nothing logs it",
    "CKV_K8S_43": "a trial builds its own image; production's digests are asked for by kube_check",
}


class CheckovMissing(Exception):
    """It can't be installed here: no uv, or no package index."""


@cache
def command() -> list[str]:
    """What runs it. Raises CheckovMissing; the first time it is fetched, then it lies in uv's cache."""
    uv = shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    words = [uv, "tool", "run", "--quiet", "--python", sys.executable, "--from", f"checkov=={VERSION}"]
    try:
        done = subprocess.run(
            [*words, "python", "-c", "pass"], capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckovMissing(str(error)) from error
    if done.returncode != 0:
        raise CheckovMissing(done.stderr.strip()[-300:])
    return [*words, "--offline", "checkov"]


def findings(file: Path) -> list[str]:
    """What checkov complains of, besides what SKIPPED gives a reason for."""
    words = [*command(), "-f", str(file), "--framework", "kubernetes", "--skip-download", "--quiet"]
    words += ["--compact", "-o", "json", "--soft-fail", "--skip-check", ",".join(SKIPPED)]
    # it asks the network for news at each start and waits for the answer: refused at once instead
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=RUN_S, env={**os.environ, **nowhere}
    )
    if done.returncode != 0:
        return [f"checkov: {(done.stderr or done.stdout)[-500:]}"]
    reports = json.loads(done.stdout)
    failed = [
        check
        for report in (reports if isinstance(reports, list) else [reports])
        for check in report.get("results", {}).get("failed_checks", [])
    ]
    return [f"{check['resource']}: {check['check_id']} {check['check_name']}" for check in failed]


def main() -> int:
    """0 without findings; 1 with; where it can't be installed: 0 with a word, 1 where CI is set."""
    found = []
    try:
        # production with the toolbox holds all of production
        for name, rendered in [one for one in whole(ROOT) if one[0] != "production"]:
            with tempfile.TemporaryDirectory(prefix="beegrid-checkov-") as folder:
                file = Path(folder) / "objects.yaml"
                file.write_text(yaml.safe_dump_all(rendered()), encoding="utf-8")
                found += [f"{name}: {line}" for line in findings(file)]
    except CheckovMissing as error:
        print(f"skipped: checkov can't be installed: {error}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
