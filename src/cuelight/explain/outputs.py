"""The choice of the output to explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cuelight.errors import ExplainError, UnknownNameError, did_you_mean


def choose_output(outputs: Any, output: str | int | None, names: Sequence[str] | None = None) -> Tensor:
    """Return one output of ``forward`` by its name or index, which is not needed if there is only one.

    ``names`` are used if ``forward`` returns a tuple or list without names.

    Raises:
        ExplainError: If there are several and none was chosen, there is no such output, or it is no float tensor.
    """
    named = _named(outputs, names)
    if output is None and len(named) > 1:
        raise ExplainError(
            f"the model has {len(named)} outputs: {_list(named)}. Set output to the name or index of one."
        )
    name, chosen = _chosen(named, 0 if output is None else output)
    if not isinstance(chosen, Tensor) or not chosen.is_floating_point():
        kind = str(chosen.dtype) if isinstance(chosen, Tensor) else type(chosen).__name__
        others = f" The outputs are {_list(named)}." if len(named) > 1 else ""
        raise ExplainError(f"the output {name} is {kind}; expected logits, a floating-point tensor.{others}")
    return chosen


def _named(outputs: Any, names: Sequence[str] | None) -> list[tuple[str, Any]]:
    if isinstance(outputs, Mapping):
        return [(str(name), value) for name, value in outputs.items()]
    values = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    own = list(outputs._fields if hasattr(outputs, "_fields") else names or ())  # the fields of a named tuple
    if len(own) != len(values):
        own = [f"output_{index}" for index in range(len(values))]
    return list(zip(own, values, strict=True))


def _chosen(named: Sequence[tuple[str, Any]], output: str | int) -> tuple[str, Any]:
    by_name = dict(named)
    if isinstance(output, str):
        if output in by_name:
            return output, by_name[output]
        near = did_you_mean(output, by_name)
        raise UnknownNameError(f'the model has no output "{output}".{near} Its outputs are {_list(named)}.')
    if not -len(named) <= output < len(named):
        raise UnknownNameError(f"the model has no output {output}. Its outputs are {_list(named)}.")
    return named[output]


def _list(named: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(f'{index} "{name}"' for index, (name, _) in enumerate(named))


def is_single_logit(outputs: Tensor) -> bool:
    """Return whether there is only the logit of class 1 of two: ``(N, 1, ...)`` or ``(N,)``."""
    return outputs.ndim == 1 or outputs.shape[1] == 1
