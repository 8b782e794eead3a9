"""Tensors of a model beside their averages, and the three ways in which the two can change places."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cuelight.weights.sharded_state import is_sharded


class TensorGroup:
    """Tensors of one device and type, which exchange their memory with their averages: no value is copied.

    Args:
        live: The tensors of the model.
        average: Their averages, in the same order.
    """

    is_sharded = False

    def __init__(self, live: Sequence[Tensor], average: Sequence[Tensor]) -> None:
        self.live = list(live)
        self.average = list(average)
        self._raw: list[Tensor] | None = None

    def is_finite(self) -> bool:
        """Return whether the model holds neither NaN nor infinity here."""
        values = self._values()
        if values[0].is_cpu:
            # The sum is the fastest pass over a tensor that keeps NaN and infinities; in half it would overflow.
            total = sum(value.sum(dtype=_at_least_float32(value.dtype)).item() for value in values)
        else:
            norms = torch._foreach_norm(values, dtype=torch.float32)  # noqa: SLF001 - one kernel, one wait for it
            total = torch.stack(list(norms)).sum().item()
        return math.isfinite(abs(total))

    def update(self, weight: float) -> None:
        """Move every average towards the model's value, by a fraction of the distance."""
        torch._foreach_lerp_(self.average, self._values(), weight)

    def put_average(self) -> None:
        """Let the model hold the averages."""
        if self._raw is None:
            self._raw = [tensor.data for tensor in self.live]
        for tensor, average in zip(self.live, self.average, strict=True):
            tensor.data = average

    def put_raw(self) -> None:
        """Let the model hold its own values again; also after an interrupt in the middle of an exchange."""
        for tensor, raw in zip(self.live, self._raw or (), strict=False):
            tensor.data = raw
        self._raw = None

    def take_over(self) -> None:
        """Take what the model holds as its averages, while they are in the model: a callback may have changed them."""
        self.average = [tensor.data for tensor in self.live]

    def _values(self) -> list[Tensor]:
        return self.live


class CopiedGroup(TensorGroup):
    """Tensors that cannot be averaged, such as counters: an update copies them, so that they fit the averages."""

    def is_finite(self) -> bool:
        """Return true: integers always are."""
        return True

    def update(self, weight: float) -> None:
        """Take the model's values."""
        torch._foreach_copy_(self.average, self.live)


class ConvertedGroup(TensorGroup):
    """Averages of another type or device than the model, such as of weights in half precision.

    While the model holds the averages, there is one more copy of its values.
    """

    def update(self, weight: float) -> None:
        """Move every average towards the model's value, converted one after the other."""
        _lerp_converted(self.average, self.live, weight)

    def put_average(self) -> None:
        """Let the model hold the averages, in its own type and on its device."""
        if self._raw is None:
            self._raw = [tensor.data for tensor in self.live]
        for tensor, average, raw in zip(self.live, self.average, self._raw, strict=True):
            tensor.data = average.to(raw)

    def take_over(self) -> None:
        """Leave the averages, which are more exact than what the model holds."""


class ShardedGroup(TensorGroup):
    """Shards of tensors that are spread over processes (``fully_shard``).

    The collective operations read from the memory of the shard, so values are copied there. While the model holds
    the averages, there is one more copy of its shard.
    """

    is_sharded = True

    def update(self, weight: float) -> None:
        """Move every average of a shard towards its value."""
        values = self._values()
        if values[0].dtype == self.average[0].dtype and values[0].device == self.average[0].device:
            torch._foreach_lerp_(self.average, values, weight)
        else:
            _lerp_converted(self.average, values, weight)

    def put_average(self) -> None:
        """Let the shard hold the averages."""
        if self._raw is None:
            self._raw = [value.clone() for value in self._values()]
        torch._foreach_copy_(self._values(), self.average)

    def put_raw(self) -> None:
        """Let the shard hold its own values again."""
        if self._raw is not None:
            torch._foreach_copy_(self._values(), self._raw)
        self._raw = None

    def take_over(self) -> None:
        """Leave the averages, which the shard holds a copy of."""

    def _values(self) -> list[Tensor]:
        return [_local(tensor) for tensor in self.live]


def fitting_average(tensor: Tensor, average: Tensor | None, device: torch.device | None) -> Tensor:
    """Make the average that goes with a tensor.

    Args:
        tensor: A tensor of a model.
        average: The average that there is, which may be of another type or device.
        device: Where the average shall be; with the tensor if left out, and if it cannot be averaged.

    Returns:
        The average where it belongs, or, if there is none of this shape, a copy of what the tensor holds: of the
        local shard if the tensor is sharded, in single precision if the tensor is in half.
    """
    local = _local(tensor)
    known = average is not None and average.shape == local.shape
    source = average if average is not None and known else local
    if not _can_be_averaged(tensor, source):
        return source.to(local, copy=not known)
    return source.to(device=device or local.device, dtype=_at_least_float32(local.dtype), copy=not known)


def group_tensors(live: Sequence[Tensor], average: Sequence[Tensor]) -> list[TensorGroup]:
    """Sort tensors by device, type and the way in which they change places with their averages.

    Args:
        live: Tensors of a model.
        average: Their averages, in the same order.

    Returns:
        The groups.
    """
    members: dict[Any, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for tensor, mean in zip(live, average, strict=True):
        lives, averages = members[_kind(tensor, mean), tensor.device, tensor.dtype, mean.device]
        lives.append(tensor)
        averages.append(mean)
    return [kind(*pairs) for (kind, *_), pairs in members.items()]


def _lerp_converted(averages: Sequence[Tensor], values: Sequence[Tensor], weight: float) -> None:
    for average, value in zip(averages, values, strict=True):
        average.lerp_(value.detach().to(average), weight)


def _kind(live: Tensor, average: Tensor) -> type[TensorGroup]:
    if is_sharded(live):
        return ShardedGroup
    if not _can_be_averaged(live, average):
        return CopiedGroup
    same = live.dtype == average.dtype and live.device == average.device
    return TensorGroup if same else ConvertedGroup


def _can_be_averaged(live: Tensor, average: Tensor) -> bool:
    """Return whether these are integers, or buffers such as masks that hold infinity on purpose."""
    if not (live.is_floating_point() or live.is_complex()):
        return False
    return isinstance(live, nn.Parameter) or is_sharded(live) or bool(average.isfinite().all())


def _local(tensor: Tensor) -> Tensor:
    local = tensor.detach()
    return local.to_local() if is_sharded(tensor) else local  # type: ignore[attr-defined]


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32) if dtype.itemsize < torch.float32.itemsize else dtype
