"""Parameters of a model, by names and patterns of a configuration."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase

from torch import nn

from cuelight.errors import ConfigError, Problem


def matching_parameters(module: nn.Module, pattern: str, path: str) -> list[str]:
    """Return the names of the parameters that a pattern matches, or that are in a layer that it matches.

    Args:
        module: The model.
        pattern: The name of a layer or of a parameter; ``*``, ``?`` and ``[...]`` as in file names.
        path: The key path of the pattern, for the error.

    Raises:
        ConfigError: If it matches nothing.
    """
    names = [name for name, _ in module.named_parameters()]
    found = [name for name in names if any(fnmatchcase(part, pattern) for part in _with_parents(name))]
    if found:
        return found
    layers = dict.fromkeys(part for name in names for part in _with_parents(name))
    near = difflib.get_close_matches(pattern, layers, n=3) or list(layers)[:5]
    message = f'no parameter of the model matches "{pattern}". Names are, for example, {", ".join(near)}.'
    raise ConfigError([Problem(message, path)])


def _with_parents(name: str) -> list[str]:
    """Return the names of the layers around a parameter, the outermost first, and its own."""
    parts = name.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]
