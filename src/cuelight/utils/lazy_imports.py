"""Lazy imports for a package, so that using one name does not import what another needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from cuelight.errors import did_you_mean


def lazy_imports(package: str, locations: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package; ``locations`` maps its names to ``module:attribute``.

    Type checkers and editors need the same names in an ``if TYPE_CHECKING`` block.
    """

    def find(name: str) -> Any:
        if name not in locations:
            suggestion = did_you_mean(name, locations)
            raise AttributeError(f'module "{package}" has no attribute "{name}".{suggestion}', name=name)
        module, _, attribute = locations[name].partition(":")
        return getattr(import_module(module), attribute)

    return find, lambda: sorted(locations)
