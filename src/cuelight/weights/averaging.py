"""Exponential moving average of the weights of a module."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cuelight.weights.sharded_state import gather_like, is_sharded, shard_like
from cuelight.weights.tensor_groups import TensorGroup, fitting_average, group_tensors
from cuelight.weights.tensor_places import Place, check_patterns, places_to_average


def decay_at(update: int, decay: float, tau: float | None = None) -> float:
    """Compute the decay of one update.

    Args:
        update: The number of the update, counted from 1.
        decay: The decay, or its limit if ``tau`` is set.
        tau: Time constant in updates of a warm-up from a small decay to ``decay``; no warm-up if left out.

    Returns:
        ``decay`` * (1 - exp(-``update`` / ``tau``)), or ``decay``.

    Examples:
        >>> decay_at(1, decay=0.999)
        0.999
        >>> round(decay_at(2000, decay=0.999, tau=2000), 3)
        0.631
    """
    return decay if tau is None else -decay * math.expm1(-update / tau)


class AveragedWeights:
    """Exponential moving average of the parameters and buffers of a module, which can be swapped into the module.

    The average starts at the current values. There is one copy of the weights: average and module exchange their
    memory. Parameters that several layers share are averaged once, weights in half precision in single precision.
    Integer buffers are copied at each update. Non-persistent buffers and pruning masks are not averaged.

    B. Polyak and A. Juditsky, 1992, "Acceleration of Stochastic Approximation by Averaging"; in this form:
    D. Kingma and J. Ba, 2015, "Adam: A Method for Stochastic Optimization", section 7.2.

    Args:
        module: The module.
        average_buffers: Whether to average floating-point buffers, such as the statistics of BatchNorm; or name
            patterns, such as ``*.running_mean``, of those to average.
        skip_nonfinite: Whether to skip an update if the module has NaN or infinity.
        device: Device of the average; that of the module if left out.

    Raises:
        CuelightError: If a pattern matches no buffer.

    Examples:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.zeros_(layer.weight)
        >>> average = AveragedWeights(layer)
        >>> _ = nn.init.ones_(layer.weight)
        >>> average.update(decay=0.75)
        True
        >>> with average.in_model():
        ...     layer.weight.item()
        0.25
        >>> layer.weight.item()
        1.0
    """

    def __init__(
        self,
        module: nn.Module,
        average_buffers: bool | str | Sequence[str] = True,
        skip_nonfinite: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        self.updates = 0
        self.skipped = 0
        self.is_in_model = False
        self.module = module
        self._average_buffers = [average_buffers] if isinstance(average_buffers, str) else average_buffers
        self._skip_nonfinite = skip_nonfinite
        self._device = torch.device(device) if device is not None else None
        self._places: list[Place] = []
        self._live: list[Tensor] = []
        self._groups: list[TensorGroup] = []
        check_patterns(module, self._average_buffers)
        self.refresh()

    @property
    def is_sharded(self) -> bool:
        """Whether tensors of the module are sharded over processes."""
        return any(group.is_sharded for group in self._groups)

    def update(self, decay: float, agree: Callable[[bool], bool] | None = None) -> bool:
        """Update the average: average = decay * average + (1 - decay) * module.

        An update is skipped, and counted in ``skipped``, if the module has NaN or infinity.

        Args:
            decay: Between 0 and 1.
            agree: Combines whether the values are finite over all processes, if each has only a part of the module.

        Returns:
            Whether the average was updated.

        Raises:
            ValueError: If the decay is out of its range.
            RuntimeError: If the average is in the module.
        """
        if not 0 <= decay <= 1:
            raise ValueError(f"decay: expected a number from 0 to 1, got {decay!r}.")
        if self.is_in_model:
            raise RuntimeError("The average cannot be updated while it is in the module. Swap the weights back first.")
        with _ordinary_tensors():
            if self._is_outdated():
                self.refresh()
            if self._skip_nonfinite and not self._is_finite(agree):
                self.skipped += 1
                return False
            for group in self._groups:
                group.update(1 - decay)
        self.updates += 1
        return True

    def put_in_model(self) -> None:
        """Swap the average into the module; its own weights are kept."""
        if self._is_outdated():
            self.refresh()
        self.is_in_model = True
        with _ordinary_tensors():
            for group in self._groups:
                group.put_average()
        if self.is_sharded:
            self._forget_gathered()

    def take_from_model(self) -> None:
        """Swap the module's own weights back; also safe if they are there already."""
        with _ordinary_tensors():
            for group in self._groups:
                group.put_raw()
            self._put_back_replaced()
        if self.is_sharded:
            self._forget_gathered()
        self.is_in_model = False

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Have the average in the module inside the context."""
        if self.is_in_model:
            yield
            return
        try:
            self.put_in_model()
            yield
        finally:
            self.take_from_model()

    @contextmanager
    def out_of_model(self) -> Iterator[None]:
        """Have the module's own weights in it inside the context."""
        if not self.is_in_model:
            yield
            return
        self._find_replaced()
        for group in self._groups:
            group.take_over()
        try:
            self.take_from_model()
            yield
        finally:
            self.put_in_model()

    def exact_averages(self) -> dict[str, Tensor]:
        """Return, by name and not sharded, the averages with a higher precision than the module's tensors."""
        averages = self._averages()
        rounded = [(place, live) for place, live in self._located() if averages[id(live)].dtype != live.dtype]
        return {
            place.name: gather_like(averages[id(live)], live) if is_sharded(live) else averages[id(live)]
            for place, live in rounded
        }

    def load_exact_averages(self, averages: Mapping[str, Tensor]) -> None:
        """Set averages from ``exact_averages``."""
        own = self._averages()
        with _ordinary_tensors():
            for place, live in self._located():
                if place.name in averages:
                    exact = averages[place.name]
                    own[id(live)].copy_(shard_like(exact, live) if is_sharded(live) else exact)

    def refresh(self) -> None:
        """Follow added, removed or replaced parameters and buffers, and changes of their type or device.

        While the average is in the module, this does nothing, because the module's own weights would be lost.
        """
        if self.is_in_model:
            return
        self._forget_gathered()  # otherwise the gathered parameters would replace the shards
        averages = self._averages()
        by_name = {place.name: averages[id(live)] for place, live in self._located()}
        self._places = list(places_to_average(self.module, self._average_buffers))
        self._live = [place.holder[place.key] for place in self._places]
        with _ordinary_tensors():
            kept = [
                fitting_average(tensor, averages.get(id(tensor), by_name.get(place.name)), self._device)
                for place, tensor in self._located()
            ]
            self._groups = group_tensors(self._live, kept)

    def _put_back_replaced(self) -> None:
        """Put tensors back that were replaced while the average was in the module, such as a reassigned buffer."""
        for place, live in self._located():
            if place.holder.get(place.key, live) is not live and not is_sharded(live):
                place.holder[place.key] = live

    def _find_replaced(self) -> None:
        """Track tensors that were replaced while the average was in the module, as by a move to another device."""
        found = {id(live): place.holder.get(place.key, live) for place, live in self._located() if not is_sharded(live)}
        self._live = [found.get(id(live), live) for live in self._live]
        for group in self._groups:
            group.live = [found.get(id(live), live) for live in group.live]

    def _is_finite(self, agree: Callable[[bool], bool] | None) -> bool:
        finite = all(group.is_finite() for group in self._groups)
        return agree(finite) if agree else finite

    def _averages(self) -> dict[int, Tensor]:
        return {
            id(tensor): average
            for group in self._groups
            for tensor, average in zip(group.live, group.average, strict=True)
        }

    def _is_outdated(self) -> bool:
        return any(place.holder.get(place.key) is not live for place, live in self._located())

    def _located(self) -> Iterator[tuple[Place, Tensor]]:
        return zip(self._places, self._live, strict=True)

    def _forget_gathered(self) -> None:
        """Drop gathered parameters of sharded modules, which are outdated after a swap."""
        for module in self.module.modules():
            if hasattr(module, "reshard"):
                module.reshard()  # type: ignore[operator]


@contextmanager
def _ordinary_tensors() -> Iterator[None]:
    """Leave inference mode, so that no inference tensor is created, which training could not use."""
    with torch.inference_mode(False), torch.no_grad():
        yield
