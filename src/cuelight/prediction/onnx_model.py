"""An exported model, ONNX file or NN Archive, in ONNX Runtime."""

from __future__ import annotations

import tarfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cuelight.errors import CuelightError
from cuelight.export.archive.config import read_metadata
from cuelight.export.archive.reading import read_archive
from cuelight.export.onnx.sessions import RUNTIME_ERRORS, numpy_type, open_session

_LARGEST_INPUT = 2**28  # numbers in a batch of a fixed size


class OnnxModel:
    """Runs an ONNX model on the CPU, for any number of images.

    Args:
        session: An open session of ONNX Runtime.
        source: The file that it came from.

    Attributes:
        source: The file.
        metadata: The metadata of the model; ``None`` if Cuelight did not write the file.
        input_name: Name of the input.
        input_shape: Shape of the input; ``None`` where a dimension is free.
        input_dtype: Data type of the input.
        output_names: Names of the outputs.

    Raises:
        CuelightError: The model does not have exactly one input of images.
    """

    def __init__(self, session: Any, source: Path) -> None:
        self._session = session
        self.source = source
        self.metadata = read_metadata(session.get_modelmeta().custom_metadata_map, source)
        inputs = session.get_inputs()
        if len(inputs) != 1 or not inputs[0].shape:
            names = ", ".join(entry.name for entry in inputs) or "none"
            raise CuelightError(
                f"{source}: expected a model with one input, a batch of images; its inputs are {names}."
            )
        self.input_name: str = inputs[0].name
        self.input_shape = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)
        self.input_dtype = numpy_type(inputs[0].type)
        self._refuse_other_images()
        self.output_names: list[str] = [entry.name for entry in session.get_outputs()]

    @classmethod
    def open(cls, path: str | Path) -> OnnxModel:
        """Open a model.

        Args:
            path: An ONNX file, or an NN Archive with one inside.

        Raises:
            ArchiveError: The archive is damaged or holds no ONNX file.
            CuelightError: The file is missing, damaged, or not an ONNX model.
        """
        path = Path(path)
        if not path.is_file():
            raise CuelightError(f"{path}: there is no such file (looked for {path.absolute()}).")
        if path.suffix != ".onnx" and (".tar" in path.suffixes or tarfile.is_tarfile(path)):
            _, onnx = read_archive(path)
            return cls(open_session(onnx, path), path)
        return cls(open_session(path, path), path)

    def __call__(self, images: NDArray[Any] | Tensor) -> dict[str, NDArray[Any]]:
        """Run the model.

        Args:
            images: ``(N, C, H, W)``: float, or uint8 if the graph normalizes by itself.

        Returns:
            The outputs by name, each of N images.

        Raises:
            CuelightError: The images have another type or shape than the input, or the model fails on them.
        """
        batch = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
        batch = self._fitting(batch)
        size = self.input_shape[0] or len(batch)
        parts = [self._run(batch[start : start + size], size) for start in range(0, len(batch), size)]
        return {
            name: np.concatenate([part[index] for part in parts]) if len(parts) > 1 else parts[0][index]
            for index, name in enumerate(self.output_names)
        }

    def _refuse_other_images(self) -> None:
        """Raise ``CuelightError`` if the input is huge, or the metadata describes images of another size."""
        if prod(size or 1 for size in self.input_shape) > _LARGEST_INPUT:
            raise CuelightError(f"{self.source}: its input {self.input_shape} is too large for images.")
        described = self.metadata.preprocessing if self.metadata else None
        if described is None:
            return
        own, images = self.input_shape[1:], (described.channels, *described.size)
        if len(own) != len(images) or any(size not in (None, wanted) for size, wanted in zip(own, images, strict=True)):
            raise CuelightError(
                f"{self.source}: its metadata describes images of {images}, but its input is {self.input_shape}. "
                "Export it again."
            )

    def _fitting(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The images in the data type of the input, if they fit it."""
        kinds_differ = (batch.dtype == np.uint8) != (self.input_dtype == np.uint8)
        fits = len(batch.shape) == len(self.input_shape) and all(
            expected in (None, size) for expected, size in zip(self.input_shape[1:], batch.shape[1:], strict=True)
        )
        if kinds_differ or not fits or not len(batch):
            sizes = ", ".join("any" if size is None else str(size) for size in self.input_shape[1:])
            raise CuelightError(
                f"{self.source}: the model takes {self.input_dtype} of (images, {sizes}); got {batch.dtype} of "
                f"{batch.shape}."
            )
        return np.ascontiguousarray(batch, self.input_dtype)

    def _run(self, batch: NDArray[Any], size: int) -> list[NDArray[Any]]:
        count = len(batch)
        if count < size:  # the batch size is fixed
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - count, axis=0)])
        try:
            outputs = self._session.run(self.output_names, {self.input_name: batch})
        except RUNTIME_ERRORS as error:
            raise CuelightError(f"{self.source}: ONNX Runtime cannot run the model: {error}") from error
        return [output[:count] for output in outputs]
