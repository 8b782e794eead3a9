"""Weights of another training or program as the first weights of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cuelight.errors import CheckpointError
from cuelight.utils.words import first_of
from cuelight.weights.finite import in_words, not_finite_tensors
from cuelight.weights.pruned_names import with_plain_names
from cuelight.weights.reading import read_content

# Entries under which files have their weights, those of averages first.
_HOLDERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
_LEAST_SHARE = 10  # a prefix is one of at least a tenth of the weights
_SHOWN = 3


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, of a file with a state dict, or of a safetensors file, without running code.

    Raises:
        CheckpointError: If the file is missing or damaged, or has no weights.
    """
    if file.suffix == ".safetensors":
        try:
            return with_plain_names(load_file(file))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{file}: this file cannot be read: {error}") from error
    weights = _weights_in(read_content(file, "cpu"))
    if not weights:
        raise CheckpointError(f"{file}: there are no weights in this file. Expected a checkpoint or a state dict.")
    return with_plain_names(weights)


def _weights_in(content: Any) -> dict[str, Tensor]:
    """Return the tensors in the first entry of ``_HOLDERS`` that has any, or else those of the content itself."""
    if not isinstance(content, dict):
        return {}
    held = (_weights_in(content.get(name)) for name in _HOLDERS)
    own = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return next(filter(None, held), own)


def load_what_fits(module: nn.Module, weights: Mapping[str, Tensor], source: object) -> list[str]:
    """Load the weights whose names and shapes fit; return lines that say which do and which do not.

    Names may have a prefix in the file or in the model, such as ``network.``: the one with which most of them fit is
    taken.

    Raises:
        CheckpointError: If none fits, or one is not finite.
    """
    own = module.state_dict()
    fitting, lines = what_fits(own, under_best_prefixes(own, weights), source)
    module.load_state_dict(fitting, strict=False)
    require_finite(module, source)
    return lines


def require_finite(module: nn.Module, source: object) -> None:
    """Raise a ``CheckpointError`` if a weight, loaded from ``source``, is NaN or infinite."""
    if bad := not_finite_tensors(module):
        raise CheckpointError(f"{source}: these weights cannot be used: there is {in_words(bad)}.")


def what_fits(
    own: Mapping[str, Tensor], named: Mapping[str, Tensor], source: object, misfit: str = "so new here"
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights whose names and shapes fit those of a model, and lines that say which do and which do not.

    ``misfit`` says what becomes of weights of another shape. ``CheckpointError`` is raised if none fits.
    """
    fitting = {name: value for name, value in named.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise CheckpointError(
            f"{source}: none of its {len(named)} weights fits the model. A name there is {next(iter(named))}, one "
            f"of the model {next(iter(own))}. Use the weights of a network of the same kind."
        )
    other_shape = [name for name, value in own.items() if name in named and named[name].shape != value.shape]
    left = {
        f"of another shape, {misfit}": [f"{name} ({_shapes(named[name], own[name])})" for name in other_shape],
        "not in the file, so new here": [name for name in own if name not in named],
        "in the file alone": [name for name in named if name not in own],
    }
    lines = [f"  {what}: {first_of(names, _SHOWN)}" for what, names in left.items() if names]
    return fitting, [f"{source}: {len(fitting)} of the {len(own)} weights of the model are taken from it.", *lines]


def under_best_prefixes(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights under the names of a model, as far as they differ by a prefix."""
    best: dict[str, Tensor] = dict(weights)
    most = -1
    for removed in _prefixes(weights):
        for added in _prefixes(own):
            named = {
                added + name.removeprefix(removed) if name.startswith(removed) else name: value
                for name, value in weights.items()
            }
            fitting = sum(1 for name, value in named.items() if name in own and own[name].shape == value.shape)
            if fitting > most:
                best, most = named, fitting
    return best


def _prefixes(names: Collection[str]) -> list[str]:
    """Return the names of layers that hold a good part of the weights, with a dot; and the empty prefix."""
    layers = Counter(
        ".".join(name.split(".")[:length]) + "." for name in names for length in range(1, name.count(".") + 1)
    )
    return ["", *(layer for layer, count in layers.items() if count * _LEAST_SHARE >= len(names))]


def _shapes(given: Tensor, own: Tensor) -> str:
    return f"{'x'.join(map(str, given.shape))} in the file, {'x'.join(map(str, own.shape))} here"
