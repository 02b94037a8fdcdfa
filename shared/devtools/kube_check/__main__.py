"""`python -m shared.devtools.kube_check [manifests|live|compose|image] [--crds FOLDER]`: one finding a line."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import (
    again,
    commands,
    compose,
    given,
    handed_out,
    house,
    image,
    kafka_names,
    leaving,
    live,
    networks,
    one_node,
    operators,
    production,
    pruned,
    schemas,
    secret_names,
    variables,
    watched,
    ways,
)
from shared.devtools.kube_check.render import RenderError, overlays, whole


def manifests(root: Path, crds: Path) -> list[str]:
    """All checks of every overlay. Without schemas for a kind it says so, and that is a finding where CI is set."""
    known = schemas.read_crds(crds) if crds.is_dir() else {}
    found, unknown = leaving.check(root), set()
    if not overlays(root):
        return ["k8s/overlays: there is none"]
    for name, rendered in whole(root):
        try:
            objects = rendered()
        except RenderError as error:
            found.append(f"{name}: {error}")
            continue
        wrong, missing = schemas.check(objects, known)
        unknown |= set(missing)
        checks: tuple[Sequence[str], ...] = (
            wrong,
            house.check(objects),
            ways.check(objects, root),
            networks.check(objects, root, name.split()[0]),
            variables.of_manifests(objects),
            secret_names.check(objects, root),
            list(given.of_manifests(objects)),
            handed_out.check(objects),
            kafka_names.check(objects),
            operators.check(objects),
            again.check(objects),
            watched.check(objects),
            production.check(objects) if name.startswith("production") else (),
            one_node.check(objects),
            pruned.check(objects, root) if name == "production" else (),
            commands.check(objects, root) if name == "production" else (),
        )
        found += [f"{name}: {sentence}" for sentences in checks for sentence in sentences]
    if unknown:
        words = f"no schemas below {crds} for {', '.join(sorted(unknown))}: name a folder of CRDs in BEEGRID_CRDS"
        if os.environ.get("CI"):
            found.append(words)
        else:
            print(f"skipped: {words}", file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when anything is found."""
    parser = argparse.ArgumentParser(prog="python -m shared.devtools.kube_check", description=__doc__)
    parser.add_argument("part", nargs="*", choices=["manifests", "live", "compose", "image"])
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument(
        "--crds",
        type=Path,
        default=Path(os.environ.get("BEEGRID_CRDS") or ROOT.parent / "shared/data/crds"),
        help="folder with the operators' CustomResourceDefinitions",
    )
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], list[str]]] = {
        "manifests": lambda: manifests(options.root, options.crds),
        "live": lambda: live.check(options.root),
        "compose": lambda: compose.check(options.root),
        "image": lambda: image.check(options.root),
    }
    found = [sentence for part in options.part or parts for sentence in parts[part]()]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
