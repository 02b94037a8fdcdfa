"""Finding the parts of services by their file names, so that a new service needs no entry anywhere."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType


def service_names(root: Path) -> list[str]:
    """Folders of services/ that are packages or hold modules."""
    return sorted(path.name for path in (root / "services").iterdir() if path.is_dir() and any(path.glob("*.py")))


def service_module(service: str, name: str) -> ModuleType | None:
    """`services.<service>.<name>`, or None where the file isn't there.

    Raises:
        ImportError: the file is there and can't be imported.
    """
    full = f"services.{service}.{name}"
    if importlib.util.find_spec(full) is None:
        return None
    return importlib.import_module(full)
