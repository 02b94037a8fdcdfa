"""YAML as people write it: block style, keys in the given order, Chinese as it is."""

from typing import Any

import yaml


def as_yaml(head: str, value: Any) -> str:
    """A file with a comment on top; `head` is one or more lines without the hash."""
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    return comment + yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
