"""Any model as one from tensors to tensors, which is what exporters understand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cuelight.errors import ExportError
from cuelight.export.onnx.export_target import Batch
from cuelight.images.preprocessing import Preprocessing


class TensorsModule(nn.Module):
    """Makes any model one from tensors to tensors, with normalization inside if wanted.

    Args:
        model: Takes tensors, by position or by name, and gives tensors in tuples, lists and mappings.
        names: Names of the inputs, if the model takes them by name.
        preprocessing: What is done to the only input, uint8 images in RGB or grey, before the model sees it.
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str] | None = None, preprocessing: Preprocessing | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self._names = names
        self._normalize = Normalize(preprocessing) if preprocessing else nn.Identity()

    def forward(self, *inputs: Tensor) -> Batch:
        """Run the model."""
        return tuple(tensor for _, tensor in named_tensors(self.outputs(*inputs)))

    def outputs(self, *inputs: Tensor) -> Any:
        """Run the model, and leave its outputs as they are.

        Args:
            *inputs: In the order of their names.

        Returns:
            What the model gives.
        """
        first, *others = inputs
        inputs = (self._normalize(first), *others)
        if self._names is None:
            return self.model(*inputs)
        return self.model(**dict(zip(self._names, inputs, strict=True)))


class Normalize(nn.Module):
    """What ``Preprocessing.normalize`` does to uint8 images, in operators that every exporter knows.

    Args:
        preprocessing: Tells mean, standard deviation and order of the channels.
    """

    mean: Tensor
    std: Tensor
    order: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self._flips = preprocessing.color == "BGR"
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(-1, 1, 1) * 255.0)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(-1, 1, 1) * 255.0)
        self.register_buffer("order", torch.tensor([2, 1, 0]))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize.

        Args:
            images: uint8 ``(N, C, H, W)`` in RGB or grey.

        Returns:
            float32 ``(N, C, H, W)`` as the model sees them.
        """
        if self._flips:
            images = images.index_select(1, self.order)
        return (images.float() - self.mean) / self.std


def named_tensors(outputs: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of what a model gave, with its place in it as its name.

    Args:
        outputs: A tensor; or tuples, lists and mappings of tensors, in each other.
        name: The place of ``outputs`` itself.

    Yields:
        Name and tensor.

    Raises:
        ExportError: There is something else than tensors.

    Examples:
        >>> [name for name, _ in named_tensors({"logits": torch.ones(1), "maps": [torch.ones(1), torch.ones(1)]})]
        ['logits', 'maps_0', 'maps_1']
    """
    if isinstance(outputs, Tensor):
        yield name or "output", outputs
    elif isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from named_tensors(value, f"{name}_{key}" if name else str(key))
    elif isinstance(outputs, tuple | list):
        for index, value in enumerate(outputs):
            yield from named_tensors(value, f"{name or 'output'}_{index}" if len(outputs) > 1 else name)
    else:
        raise ExportError(
            f"the model gives {type(outputs).__name__} as {name or 'its output'}, and a file of ONNX gives tensors. "
            "Let `forward` return a tensor, or a tuple, list or mapping of tensors."
        )
