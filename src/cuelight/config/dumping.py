"""Write plain data as YAML that reads back as the same data."""

from __future__ import annotations

import re
from typing import Any

import yaml

from cuelight.config.scalars import read_scalar

# PyYAML writes these unquoted, and folds them as line breaks when it reads them.
_UNUSUAL_BREAKS = re.compile("[\\x85\\u2028\\u2029]")


class _Dumper(yaml.SafeDumper):
    """Repeats values instead of writing aliases, and quotes text that YAML 1.1 or 1.2 reads as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = isinstance(read_scalar(text), str) and not _UNUSUAL_BREAKS.search(text)
    style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def to_yaml(tree: object) -> str:
    """Write mappings, lists and scalars as YAML that reads back as the same tree."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
