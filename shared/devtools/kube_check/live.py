"""Every overlay on a real API server: a strict dry run, two applies, two diffs, and what the server has kept of it.

`BEEGRID_CONTROL_PLANE` names the kubeconfig of a cluster that may be written to: the namespace of the overlays is made
in it and deleted again. KUBECONFIG is not taken on purpose: it may name a cluster in which the suite works.
"""

import copy
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from shared.devtools.kube import plan
from shared.devtools.kube_check import placed, rolled
from shared.devtools.kube_check.render import RenderError, Yaml, name_of, of_kind, whole
from shared.devtools.kube_check.server import LONGEST_S, ClusterError, Server
from shared.kit import clock

VARIABLE = "BEEGRID_CONTROL_PLANE"
MARK = "beegrid.dev/check"
ROLLED = ("production with toolbox", "small")
"""Overlays in which a release, more pods and a drain are tried: the others have the same services."""
# What a server writes on its own.
OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers")
# A client sends their selector or claims each time, for their patches replace it whole; the server finds nothing new.
ALWAYS_SENT = ("poddisruptionbudget.policy/", "statefulset.apps/")
RECORD = re.compile(r'\{"apiVersion":.*\}|generation: \d+')
HOW = f"""\
the manifests have met no API server: name a kubeconfig in {VARIABLE}. It is of a cluster for trials, with the
  operators' CRDs (k8s/README.md), e.g. of kind, k3d, or of etcd, kube-apiserver, kube-controller-manager,
  kube-scheduler and KWOK alone; its namespace {plan.NAMESPACE} is made and deleted"""


def check(root: Path) -> list[str]:
    """Findings of all overlays; where no cluster is named a word on stderr, and none."""
    named = os.environ.get(VARIABLE)
    if not named:
        print(f"skipped: {HOW}", file=sys.stderr)
        return []
    server = Server(Path(named))
    found = []
    try:
        with interruptible():
            ours(server)
            # production with the toolbox holds all of production
            for name, rendered in [one for one in whole(root) if one[0] != "production"]:
                began_s = clock.monotonic_s()
                print(f"control plane: {name} …", file=sys.stderr, flush=True)
                try:
                    said = overlay(server, rendered())
                    said += rolled.check(server) if name in ROLLED else []
                except RenderError as error:
                    said = [str(error)]
                finally:
                    removed(server)
                found += [f"{name}: {sentence}" for sentence in said]
                took_s = clock.monotonic_s() - began_s
                print(f"control plane: {name}: {len(said)} findings, {took_s:.0f} s", file=sys.stderr, flush=True)
    except ClusterError as error:
        found.append(f"{VARIABLE}: {error}")
    return found


@contextmanager
def interruptible() -> Iterator[None]:
    """Whoever is asked to end (SIGTERM) leaves as after Ctrl-C, so that the namespace is removed on the way out."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def ours(server: Server) -> None:
    """Raises ClusterError where somebody's suite may be in it."""
    if server.run("get", "namespace", plan.NAMESPACE).returncode == 0:
        marks = json.loads(server.ask("get", "namespace", plan.NAMESPACE, "-o", "json"))["metadata"]
        if MARK not in marks.get("annotations", {}):
            raise ClusterError(f"there is a namespace {plan.NAMESPACE} that this check has not made: nothing was done")
        removed(server)


def removed(server: Server) -> None:
    """The namespace and all that is in it. Raises ClusterError."""
    server.ask("delete", "namespace", plan.NAMESPACE, "--ignore-not-found", f"--timeout={LONGEST_S - 10}s")


def overlay(server: Server, objects: Sequence[Yaml]) -> list[str]:
    """Findings of one overlay; its namespace is there afterwards."""
    served = server.kinds()
    unknown = sorted({one["kind"] for one in objects if (_group(one), one["kind"]) not in served})
    if unknown:
        print(f"skipped: the server has no CustomResourceDefinition of {', '.join(unknown)}", file=sys.stderr)
    known = [one for one in objects if one["kind"] not in unknown]
    # marked from its first moment: a run that is killed leaves nothing that the next one takes for somebody's
    server.ask("create", "-f", "-", data=yaml.safe_dump_all(marked(of_kind(known, "Namespace"))))
    with tempfile.TemporaryDirectory(prefix="beegrid-live-") as folder:
        file = Path(folder) / "objects.yaml"
        file.write_text(yaml.safe_dump_all(known), encoding="utf-8")
        if refused := list(_dry(server, file)):
            return refused
        return [*_applied(server, file), *kept(known, _live(server, file)), *placed.check(server, objects)]


def marked(namespaces: Sequence[Yaml]) -> list[Yaml]:
    """As made by this check; what is applied over it later leaves the mark."""
    found: list[Yaml] = copy.deepcopy(list(namespaces))
    for one in found:
        one["metadata"].setdefault("annotations", {})[MARK] = "true"
    return found


def _group(one: Yaml) -> str:
    return str(one["apiVersion"]).rpartition("/")[0]


def _dry(server: Server, file: Path) -> Iterator[str]:
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=beegrid-check")
    done = server.run(*words, "-f", str(file))
    if done.returncode != 0:
        yield from (f"refused: {line}" for line in done.stderr.splitlines() if line.strip())
    yield from _warnings(done.stderr)


def _warnings(text: str) -> Iterator[str]:
    yield from (line for line in text.splitlines() if line.startswith("Warning:"))


def _applied(server: Server, file: Path) -> Iterator[str]:
    """Both ways of applying, each twice; the second time nothing changes, and no diff shows any."""
    server.ask("apply", "-f", str(file))
    before = _versions(_live(server, file))
    lines = server.ask("apply", "-f", str(file)).splitlines()
    after = _versions(_live(server, file))
    yield from (f"a second apply changes it: {who}" for who in after if after[who] != before.get(who))
    for line in lines:
        if not line.endswith(" unchanged") and not line.startswith(ALWAYS_SENT):
            yield f"a second apply says that it changes something: {line}"
    yield from _differing(server, file)
    # without force: kubectl makes the plain apply's fields its own, and what then conflicts a city would meet too
    between = server.run("diff", "--server-side", "-f", str(file))
    if between.returncode > 1 or (between.returncode == 1 and changed(between.stdout)):
        yield f"kubectl diff --server-side: {(between.stderr or '; '.join(changed(between.stdout))).strip()[:2000]}"
    by_server = ("apply", "--server-side", "-f", str(file))
    if (first := server.run(*by_server)).returncode != 0:
        yield from (f"server-side after a plain apply: {line}" for line in first.stderr.splitlines() if line.strip())
        return
    before = _versions(_live(server, file))
    server.ask(*by_server)
    after = _versions(_live(server, file))
    yield from (f"a second server-side apply changes it: {who}" for who in after if after[who] != before.get(who))
    yield from _differing(server, file, "--server-side")


def changed(diff: str) -> list[str]:
    """A diff's lines, but for what a server-side apply writes in another way: the plain one's record of itself.

    With that annotation a Deployment's generation counts on, and no pod is replaced.
    """
    return [
        line
        for line in diff.splitlines()
        if line[:1] in "+-" and not line.startswith(("+++", "---")) and not RECORD.fullmatch(line[1:].strip())
    ]


def _differing(server: Server, file: Path, *more: str) -> Iterator[str]:
    done = server.run("diff", *more, "-f", str(file))
    if done.returncode != 0:
        yield f"kubectl diff {' '.join(more)}: {(done.stdout or done.stderr).strip()[:2000]}"


def _live(server: Server, file: Path) -> dict[str, Yaml]:
    found = json.loads(server.ask("get", "-f", str(file), "-o", "json"))
    return {name_of(one): one for one in found.get("items", [found])}


def _versions(live: dict[str, Yaml]) -> dict[str, str]:
    """Of what was sent: a status changes the version too, the generation and the metadata don't."""
    return {
        who: json.dumps([one["metadata"].get(key) for key in ("generation", "labels", "annotations")] + [_data(one)])
        for who, one in live.items()
    }


def _data(one: Yaml) -> Any:
    return [one.get(key) for key in ("data", "spec")]


def kept(sent: Sequence[Yaml], live: dict[str, Yaml]) -> Iterator[str]:
    """What was sent and isn't there, or is there with another value; what the server adds is its own."""
    for one in sent:
        who = name_of(one)
        if who not in live:
            yield f"{who}: applied, and not there"
            continue
        yield from (f"{who}: {fault}" for fault in _lost(one, live[who], ""))


def _lost(sent: Any, there: Any, path: str) -> Iterator[str]:
    if isinstance(sent, dict) and isinstance(there, dict):
        for key, value in sent.items():
            if key not in there:
                yield f"{path}.{key} is lost: the server doesn't know it"
            else:
                yield from _lost(value, there[key], f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(there, list) and len(sent) == len(there):
        for number, (left, right) in enumerate(zip(sent, there, strict=True)):
            yield from _lost(left, right, f"{path}[{number}]")
    elif sent != there:
        yield f"{path}: {sent!r} was sent, the server has {there!r}"
