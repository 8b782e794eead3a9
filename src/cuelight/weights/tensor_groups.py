"""Groups of tensors of a model and their averages, which are swapped in different ways."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from cuelight.weights.sharded_state import is_sharded


class TensorGroup:
    """Tensors of one device and type that exchange their memory with their averages, without a copy.

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
        """Return whether the tensors have neither NaN nor infinity."""
        values = self._values()
        if values[0].is_cpu or values[0].dtype not in (torch.float32, torch.float64):
            # The sum is the fastest operation that propagates NaN and infinity; in half precision it would overflow.
            sums = [value.sum(dtype=_at_least_float32(value.dtype)) for value in values]
            total = sum(map(Tensor.item, sums)) if values[0].is_cpu else torch.stack(sums).sum().item()
        else:
            total = get_total_norm(values).item()  # one kernel
        return math.isfinite(abs(total))

    def update(self, weight: float) -> None:
        """Move every average towards the model's value by this fraction of the distance."""
        torch._foreach_lerp_(self.average, self._values(), weight)

    def put_average(self) -> None:
        """Swap the averages into the model."""
        if self._raw is None:
            self._raw = [tensor.data for tensor in self.live]
        for tensor, average in zip(self.live, self.average, strict=True):
            tensor.data = average

    def put_raw(self) -> None:
        """Swap the model's own values back, also after an interrupted swap."""
        for tensor, raw in zip(self.live, self._raw or (), strict=False):
            tensor.data = raw
        self._raw = None

    def take_over(self) -> None:
        """Use the current values in the model as the averages: a callback may have changed them there."""
        self.average = [tensor.data for tensor in self.live]

    def _values(self) -> list[Tensor]:
        return self.live


class CopiedGroup(TensorGroup):
    """Tensors that cannot be averaged, such as counters; an update copies them."""

    def is_finite(self) -> bool:
        """Return true: these are integers, or buffers with infinity on purpose."""
        return True

    def update(self, weight: float) -> None:
        """Copy the model's values."""
        torch._foreach_copy_(self.average, self.live)


class ConvertedGroup(TensorGroup):
    """Averages of another type or device than the model, such as those of weights in half precision.

    While the averages are in the model, there is one more copy of its values.
    """

    def update(self, weight: float) -> None:
        """Move every average towards the model's value, converting one tensor at a time."""
        _lerp_converted(self.average, self.live, weight)

    def put_average(self) -> None:
        """Copy the averages into the model, in its own type and on its device."""
        if self._raw is None:
            self._raw = [tensor.data for tensor in self.live]
        for tensor, average, raw in zip(self.live, self.average, self._raw, strict=True):
            tensor.data = average.to(raw)

    def take_over(self) -> None:
        """Keep the averages, which are more precise than their copies in the model."""


class ShardedGroup(TensorGroup):
    """Shards of tensors that are sharded over processes (``fully_shard``).

    Collective operations read from the memory of the shard, so values are copied there. While the averages are in
    the model, there is one more copy of its shard.
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
        """Copy the averages into the shards."""
        if self._raw is None:
            self._raw = [value.clone() for value in self._values()]
        torch._foreach_copy_(self._values(), self.average)

    def put_raw(self) -> None:
        """Copy the model's own values back into the shards."""
        if self._raw is not None:
            torch._foreach_copy_(self._values(), self._raw)
        self._raw = None

    def take_over(self) -> None:
        """Keep the averages, of which the shards have a copy."""

    def _values(self) -> list[Tensor]:
        return [_local(tensor) for tensor in self.live]


def fitting_average(tensor: Tensor, average: Tensor | None, device: torch.device | None) -> Tensor:
    """Return the average of a tensor, converted to its type and device, or a copy of the tensor.

    The average is local if the tensor is sharded, and in single precision if the tensor is in half.

    Args:
        tensor: A tensor of a model.
        average: The existing average, of any type and device; ignored if its shape differs.
        device: Device of the average; that of the tensor if left out, or if the tensor cannot be averaged.
    """
    local = _local(tensor)
    known = average is not None and average.shape == local.shape
    source = average if average is not None and known else local
    if not _can_be_averaged(tensor, source):
        return source.to(local, copy=not known)
    return source.to(device=device or local.device, dtype=_at_least_float32(local.dtype), copy=not known)


def group_tensors(live: Sequence[Tensor], average: Sequence[Tensor]) -> list[TensorGroup]:
    """Group tensors and their averages, in the same order, by device, type and way to swap them."""
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
    """Return false for integers, and for buffers that have infinity on purpose, such as masks."""
    if not (live.is_floating_point() or live.is_complex()):
        return False
    return isinstance(live, nn.Parameter) or is_sharded(live) or bool(average.isfinite().all())


def _local(tensor: Tensor) -> Tensor:
    local = tensor.detach()
    return local.to_local() if is_sharded(tensor) else local  # type: ignore[attr-defined]


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32) if dtype.itemsize < torch.float32.itemsize else dtype
