"""A PyTorch module as a callable model."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.target import named_tensors
from cuelight.export.protocols import BringsExport, NamesOutputs


class PyTorchModel:
    """Runs a module in eval mode on the CPU, with the outputs of its exported file."""

    def __init__(self, module: nn.Module, metadata: ModelMetadata) -> None:
        self.metadata = metadata
        self._module = module.for_export().eval() if isinstance(module, BringsExport) else module
        self._output_names = module.output_names if isinstance(module, NamesOutputs) else None

    def __call__(self, images: Tensor) -> dict[str, NDArray[Any]]:
        """Run the module on prepared images, float ``(N, C, H, W)``; return the outputs by name."""
        with torch.inference_mode():
            outputs = list(named_tensors(self._module(images)))
        names, given = [name for name, _ in outputs], self._output_names or ()
        names = list(given) if len(given) == len(outputs) else names
        return {name: output.float().numpy() for name, (_, output) in zip(names, outputs, strict=True)}
