"""Prints the SQL of the tree that it is started in, as JSON: for each service, statement by name.

Runs in another release's tree, by its path: it imports nothing of this one.
"""

import dataclasses
import importlib
import json
import pkgutil
import sys
from typing import Any


def statements(package: str) -> dict[str, str]:
    """SQL_* constants below a package, by full name."""
    found: dict[str, str] = {}
    for module in _modules(package):
        for name, value in vars(module).items():
            text = _text(value) if name.startswith("SQL_") else None
            if text is not None:
                found[f"{module.__name__}.{name}"] = text
    return found


def _modules(package: str) -> list[Any]:
    root = importlib.import_module(package)
    below = pkgutil.walk_packages(getattr(root, "__path__", ()), f"{package}.")
    return [root, *(importlib.import_module(one.name) for one in below if not one.name.endswith("__main__"))]


def _text(value: Any) -> str | None:
    """A text, a query that has one, or for a copy of rows into a table the INSERT that names the same columns."""
    if isinstance(value, str):
        return value
    if isinstance(text := getattr(value, "text", None), str):
        return text
    if isinstance(table := getattr(value, "table", None), str) and dataclasses.is_dataclass(value.kind):
        names = ", ".join(f'"{name}"' for name in value.names)
        return f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}"  # noqa: S608 our own names
    return None


def main() -> None:
    """All services; what each has from the kit and of riders and companies it has in its own schema."""
    sys.path.insert(0, ".")
    services = importlib.import_module("shared.provision.services").service_names()
    known = importlib.import_module("shared.known.tables")
    kit = statements("shared.kit")
    riders, companies = statements("shared.known.riders"), statements("shared.known.companies")
    found = {
        service: {
            **kit,
            **(riders if known.knows_riders(service) else {}),
            **(companies if known.knows_companies(service) else {}),
            **statements(f"services.{service}"),
        }
        for service in services
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
