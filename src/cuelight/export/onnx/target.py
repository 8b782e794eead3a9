"""The export target: any model as a module from tensors to tensors, with names and shapes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from cuelight.config.schema import ExporterConfig
from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images.preprocessing import Preprocessing
from cuelight.images.tensors import denormalize

Inputs: TypeAlias = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
Batch: TypeAlias = tuple[Tensor, ...]
Shape: TypeAlias = tuple[int | str, ...]


@dataclass(frozen=True)
class Target:
    """A module that takes and returns tensors only, with the names and shapes of its inputs and outputs.

    ``example`` is one image. A shape has ``"batch"`` where the size is free. ``check_batches`` are the inputs of the
    numeric check: one image, and two if the batch size is free.
    """

    module: nn.Module
    example: Batch
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    check_batches: tuple[Batch, ...]


def make_target(
    model: nn.Module,
    example: Inputs,
    options: ExporterConfig,
    metadata: ModelMetadata,
    output_names: Sequence[str] | None,
    images: Tensor | None,
) -> tuple[Target, tuple[str, ...]]:
    """Wrap a model in eval mode, and find the names and shapes of its inputs and outputs by running it.

    Returns the target and notes. The numeric check uses ``images``, normalized ``(N, C, H, W)``, if there are any.
    """
    preprocessing = _preprocessing_inside(metadata, example) if options.preprocessing else None
    names = _input_names(model, example)
    module = TensorsModule(model, names if isinstance(example, Mapping) else None, preprocessing).eval()
    one, two = (_with_batch_size(example, size) for size in (1, 2))
    if preprocessing:
        one, two = ((batch[0].to(torch.uint8),) for batch in (one, two))
    outputs = list(named_tensors(_run(module, one)))
    other = [tensor for _, tensor in named_tensors(_run(module, two))] if options.dynamic_batch else None
    own_names, notes = _output_names([name for name, _ in outputs], names, output_names)
    tensors = tuple(tensor for _, tensor in outputs)
    batches, how = _check_batches(example, images, one, (1, 2) if options.dynamic_batch else (1,), preprocessing)
    target = Target(
        module, one, names, own_names, _shapes(one, two if options.dynamic_batch else one),
        _shapes(tensors, tensors if other is None else other), batches,
    )  # fmt: skip
    return target, (*notes, *how)


def _check_batches(
    example: Inputs,
    images: Tensor | None,
    one: Batch,
    sizes: Sequence[int],
    preprocessing: Preprocessing | None,
) -> tuple[tuple[Batch, ...], tuple[str, ...]]:
    if len(one) > 1:
        return tuple(_with_batch_size(example, size) for size in sizes), ()
    if images is None:
        note = "checked on random input, because there were no images"
        return tuple((_random(one[0], size),) for size in sizes), (note,)
    if images.shape[1:] != one[0].shape[1:]:
        raise ExportError(
            f"the images for the check have the shape {tuple(images.shape[1:])}, the example input of the model has "
            f"{tuple(one[0].shape[1:])}. Use the same shape for both."
        )
    if preprocessing is not None:
        images = (denormalize(preprocessing, images) * 255.0).round().to(torch.uint8)
    return tuple((_repeated(images, size),) for size in sizes), ()


def _random(example: Tensor, size: int) -> Tensor:
    """Random values of the shape and type of an example, the same each time."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, *example.shape[1:])
    if example.dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if example.is_floating_point():
        return torch.randn(shape, generator=generator, dtype=example.dtype)
    return _repeated(example, size)


def _run(module: TensorsModule, batch: Batch) -> object:
    try:
        return module.outputs(*batch)
    except Exception as error:
        raise ExportError(
            f"the model does not run on its example with {len(batch[0])} images of {tuple(batch[0].shape[1:])}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}. Check `example_input_array`"
            + (", or leave `exporter.dynamic_batch` out." if len(batch[0]) > 1 else ".")
        ) from error


def _shapes(one: Sequence[Tensor], two: Sequence[Tensor]) -> tuple[Shape, ...]:
    return tuple(
        ("batch", *first.shape[1:]) if first.shape != second.shape else tuple(first.shape)
        for first, second in zip(one, two, strict=True)
    )


def _output_names(
    places: Sequence[str], inputs: Sequence[str], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(f"{place}_output" if place in inputs else place for place in places)
    if wanted is None:
        return names, ()
    if len(wanted) != len(names):
        note = f"the outputs are named {', '.join(names)}: {len(wanted)} names were given for {len(names)} outputs"
        return names, (note,)
    if len({*wanted, *inputs}) < len(wanted) + len(inputs):
        raise ExportError(
            f"two inputs or outputs have the same name: inputs {', '.join(inputs)}, outputs {', '.join(wanted)}. "
            "Give each output a different name in `output_names`."
        )
    return tuple(wanted), ()


def _input_names(model: nn.Module, example: Inputs) -> tuple[str, ...]:
    """Name the inputs like the parameters of ``forward``."""
    if isinstance(example, Mapping):
        return tuple(example)
    count = 1 if isinstance(example, Tensor) else len(example)
    parameters = inspect.signature(model.forward).parameters.values()
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    names = [parameter.name for parameter in parameters if parameter.kind in positional]
    names += [f"input_{index}" for index in range(len(names), count)]
    return tuple(names[:count])


def _preprocessing_inside(metadata: ModelMetadata, example: Inputs) -> Preprocessing:
    if metadata.preprocessing is None:
        raise ExportError(
            "`exporter.preprocessing: true` needs the normalization of the images, but the checkpoint has no "
            "preprocessing metadata. Leave the option out, or set `preprocessing` on your data module."
        )
    if not isinstance(example, Tensor) and len(example) > 1:
        raise ExportError(
            f"`exporter.preprocessing: true` needs a model with one input, this one has {len(example)}. "
            "Leave the option out."
        )
    return metadata.preprocessing


class TensorsModule(nn.Module):
    """Wraps a model so that it takes and returns tensors only, with normalization of its only input if wanted.

    ``names`` are those of the inputs, if the model takes them by name.
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str] | None = None, preprocessing: Preprocessing | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self._names = names
        self._normalize = Normalize(preprocessing) if preprocessing else nn.Identity()

    def forward(self, *inputs: Tensor) -> Batch:
        """Return the outputs as a flat tuple."""
        return tuple(tensor for _, tensor in named_tensors(self.outputs(*inputs)))

    def outputs(self, *inputs: Tensor) -> Any:
        """Return the outputs as the model returns them."""
        first, *others = inputs
        inputs = (self._normalize(first), *others)
        if self._names is None:
            return self.model(*inputs)
        return self.model(**dict(zip(self._names, inputs, strict=True)))


class Normalize(nn.Module):
    """Does ``Preprocessing.normalize`` on uint8 images, in operators that every exporter supports."""

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
        """Normalize uint8 images ``(N, C, H, W)`` in RGB or grey to float32 as the model takes them."""
        if self._flips:
            images = images.index_select(1, self.order)
        return (images.float() - self.mean) / self.std


def named_tensors(outputs: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of nested tuples, lists and mappings, named by its position.

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
            f"the model returns {type(outputs).__name__} as {name or 'its output'}, but ONNX outputs are tensors. "
            "Return a tensor, or a tuple, list or mapping of tensors from `forward`."
        )


def _with_batch_size(example: Inputs, size: int) -> Batch:
    """Cut or repeat each input to a number of images, if its first dimension is that of the first input."""
    tensors = tuple(example.values()) if isinstance(example, Mapping) else example
    tensors = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    count = len(tensors[0])
    return tuple(_repeated(tensor, size) if tensor.ndim and len(tensor) == count else tensor for tensor in tensors)


def _repeated(tensor: Tensor, size: int) -> Tensor:
    """The first ``size`` entries of a tensor, starting again at the front where there are too few."""
    return tensor[torch.arange(size) % len(tensor)]
