"""An API server at hand, asked by kubectl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from shared.devtools.kube_check.render import KUBECTL

LONGEST_S = 120


class ClusterError(Exception):
    """The cluster can't be used; the text says why."""


@dataclass(frozen=True)
class Server:
    """The cluster that a kubeconfig names."""

    kubeconfig: Path

    def run(self, *words: str, data: str = "") -> "subprocess.CompletedProcess[str]":
        """One command, which may fail. Raises ClusterError where nothing answers."""
        command = [str(KUBECTL), "--kubeconfig", str(self.kubeconfig), *words]
        try:
            return subprocess.run(command, input=data, capture_output=True, text=True, check=False, timeout=LONGEST_S)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"kubectl {' '.join(words[:3])}: no answer in {LONGEST_S} s") from error

    def ask(self, *words: str, data: str = "") -> str:
        """One command's answer. Raises ClusterError where it fails."""
        done = self.run(*words, data=data)
        if done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(words[:3])}: {done.stderr.strip()[-1000:]}")
        return done.stdout

    def kinds(self) -> set[tuple[str, str]]:
        """Group (empty: the core's) and kind of all that it serves."""
        lines = self.ask("api-resources", "--no-headers").splitlines()
        return {(version.rpartition("/")[0], kind) for version, kind in map(_version_and_kind, lines)}


def _version_and_kind(line: str) -> tuple[str, str]:
    # NAME [SHORTNAMES] APIVERSION NAMESPACED KIND
    *_, version, _, kind = line.split()
    return version, kind
