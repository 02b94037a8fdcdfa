"""Which Python ran, and on what: figures of two machines, or of two builds, are compared by ratios only."""

import os
import platform
import sys
import sysconfig

PGO, LTO = "--enable-optimizations", "--with-lto"


def python_build(arguments: str | None = None) -> dict[str, object]:
    """Version, path, and whether this build had profile-guided and link-time optimisation.

    Args:
        arguments: of its `configure`; None: those of the running Python. Where a build doesn't say, both are None.
    """
    said = sysconfig.get_config_var("CONFIG_ARGS") if arguments is None else arguments
    return {
        "version": platform.python_version(),
        "executable": os.path.realpath(sys.executable),
        "pgo": None if not said else PGO in said,
        "lto": None if not said else LTO in said and "--without-lto" not in said and f"{LTO}=no" not in said,
    }


def machine() -> dict[str, object]:
    """The build, and how many cores there are."""
    return {"python": python_build(), "cores": os.cpu_count()}
