"""A PyTorch module as a callable model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.target import named_tensors


class PyTorchModel:
    """Runs a module in eval mode on the CPU. By default its outputs are named as in an exported file."""

    def __init__(self, module: nn.Module, metadata: ModelMetadata, output_names: Sequence[str] | None = None) -> None:
        self.metadata = metadata
        self._module = module
        self._output_names = output_names

    def __call__(self, images: Tensor) -> dict[str, NDArray[Any]]:
        """Run the module on prepared images, float ``(N, C, H, W)``; return the outputs by name."""
        with torch.inference_mode():
            outputs = list(named_tensors(self._module(images)))
        names = self._output_names or [name for name, _ in outputs]
        return {name: output.float().numpy() for name, (_, output) in zip(names, outputs, strict=True)}
