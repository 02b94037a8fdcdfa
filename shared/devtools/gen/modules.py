"""Finding the parts of services by their file names."""

import importlib
import importlib.util
from types import ModuleType


def service_module(service: str, name: str) -> ModuleType | None:
    """`services.<service>.<name>`, or None where the file isn't there.

    Raises:
        ImportError: the file is there and can't be imported.
    """
    full = f"services.{service}.{name}"
    if importlib.util.find_spec(full) is None:
        return None
    return importlib.import_module(full)
