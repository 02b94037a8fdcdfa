"""Which Python ran, and on what: figures of two machines, or of two builds, are compared by ratios only."""

import os
import platform
import sys
import sysconfig

PGO, LTO = "--enable-optimizations", "--with-lto"
DISTRIBUTION = "--prefix=/usr'"
"""Debian and others optimise by other words than those of `configure`."""


def python_build(arguments: str | None = None) -> dict[str, object]:
    """Version, path, and whether this build had profile-guided and link-time optimisation; None: it doesn't say.

    Args:
        arguments: of its `configure`, each in quotes; None: those of the running Python.
    """
    said = (sysconfig.get_config_var("CONFIG_ARGS") or "") if arguments is None else arguments
    absent = None if not said or DISTRIBUTION in said else False
    return {
        "version": platform.python_version(),
        "executable": os.path.realpath(sys.executable),
        "pgo": PGO in said or absent,
        "lto": (LTO in said and f"{LTO}=no" not in said) or absent,
    }


def machine() -> dict[str, object]:
    """The build, and how many cores there are."""
    return {"python": python_build(), "cores": os.cpu_count()}
