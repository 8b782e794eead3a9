"""From a model and its example to what is exported."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cuelight.config.schema import ExporterConfig
from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export_target import Batch, Inputs, Target, with_batch_size
from cuelight.export.onnx.tensors_module import TensorsModule, named_tensors
from cuelight.images.preprocessing import Preprocessing

Shape = tuple[int | str, ...]


def make_target(
    model: nn.Module,
    example: Inputs,
    options: ExporterConfig,
    metadata: ModelMetadata,
    output_names: Sequence[str] | None,
) -> tuple[Target, tuple[str, ...]]:
    """Wrap a model, and learn the names and shapes of what it takes and gives by running it.

    Args:
        model: In evaluation.
        example: Its inputs.
        options: How to export.
        metadata: What is known of the model.
        output_names: Names of the outputs, if somebody chose them.

    Returns:
        What is exported, and notes.

    Raises:
        ExportError: The model does not run, or cannot be exported as asked.
    """
    preprocessing = _preprocessing_inside(metadata, example) if options.preprocessing else None
    names = _input_names(model, example)
    module = TensorsModule(model, names if isinstance(example, Mapping) else None, preprocessing).eval()
    one, two = (with_batch_size(example, size) for size in (1, 2))
    if preprocessing:
        one, two = ((batch[0].to(torch.uint8),) for batch in (one, two))
    outputs = list(named_tensors(_run(module, one)))
    other = [tensor for _, tensor in named_tensors(_run(module, two))] if options.dynamic_batch else None
    own_names, notes = _output_names([name for name, _ in outputs], names, output_names)
    tensors = tuple(tensor for _, tensor in outputs)
    target = Target(
        module, one, names, own_names, _shapes(one, two if options.dynamic_batch else one),
        _shapes(tensors, tensors if other is None else other),
    )  # fmt: skip
    return target, notes


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
            "Give each output a name of its own in `output_names`."
        )
    return tuple(wanted), ()


def _input_names(model: nn.Module, example: Inputs) -> tuple[str, ...]:
    """Name the inputs as ``forward`` names its parameters."""
    if isinstance(example, Mapping):
        return tuple(example)
    count = 1 if isinstance(example, Tensor) else len(example)
    parameters = inspect.signature(model.forward).parameters.values()
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    names = [parameter.name for parameter in parameters if parameter.kind in positional]
    names += [f"input_{index}" for index in range(len(names), count)]
    return tuple(names[:count])


def _preprocessing_inside(metadata: ModelMetadata, example: Inputs) -> Preprocessing:
    """The preprocessing that shall be done inside the graph."""
    if metadata.preprocessing is None:
        raise ExportError(
            "`exporter.preprocessing: true` needs to know how images are normalized, and the checkpoint does not say. "
            "Leave the option out, or give the data part a `preprocessing`."
        )
    if not isinstance(example, Tensor) and len(example) > 1:
        raise ExportError(
            f"`exporter.preprocessing: true` needs a model with one input, this one has {len(example)}. "
            "Leave the option out."
        )
    return metadata.preprocessing
