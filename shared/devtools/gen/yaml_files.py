"""YAML as people write it: block style, keys in the given order, Chinese as it is, long texts as blocks, no anchors."""

from typing import Any

import yaml


class Plain(yaml.SafeDumper):
    """Parsers understand anchors; readers don't want to."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never an alias."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


Plain.add_representer(str, _text)


def as_yaml(head: str, value: Any, width: int = 1000) -> str:
    """A file with a comment on top; `head` is one or more lines without the hash."""
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    return comment + yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=width)
