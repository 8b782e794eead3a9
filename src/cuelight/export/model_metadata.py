"""The metadata that an exported model carries, so that the file can be used on its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Any

from cuelight.images.preprocessing import Preprocessing
from cuelight.utils.words import checked_names
from cuelight.version import __version__

_FINGERPRINT = "weights_fingerprint"


@dataclass(frozen=True)
class ModelMetadata:
    """Describes a model and its input.

    Args:
        fingerprint: The fingerprint of its weights.
        checkpoint: The file that the weights came from.
        task: Such as ``classification``; ``None`` if unknown.
        class_names: The name of each class.
        preprocessing: How an image is prepared for the model.
        decoding: Settings by which the task decodes the outputs, such as thresholds; ``None`` if it needs none.
        preprocessing_inside: Whether the graph normalizes by itself, and takes uint8 images in RGB or grey.
    """

    fingerprint: str
    checkpoint: str = ""
    task: str | None = None
    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    decoding: Mapping[str, Any] | None = None
    preprocessing_inside: bool = False

    def to_metadata(self) -> dict[str, str]:
        """Return this as the metadata of an ONNX file, text by key, with the versions of Cuelight, torch and onnx.

        :meth:`from_metadata` reads it.
        """
        metadata = {
            _FINGERPRINT: self.fingerprint,
            "checkpoint": self.checkpoint,
            "cuelight_version": __version__,
            "torch_version": version_of("torch"),
            "onnx_version": version_of("onnx"),
            "preprocessing_inside": json.dumps(self.preprocessing_inside),
        }
        if self.task is not None:
            metadata["task"] = self.task
        if self.class_names is not None:
            metadata["class_names"] = json.dumps(list(self.class_names), ensure_ascii=False)
        if self.preprocessing is not None:
            metadata["preprocessing"] = json.dumps(self.preprocessing.to_dict())
        if self.decoding is not None:
            metadata["decoding"] = json.dumps(dict(self.decoding))
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelMetadata | None:
        """Read what :meth:`to_metadata` returned; ``None`` if Cuelight did not write the file."""
        if _FINGERPRINT not in metadata:
            return None
        names, preprocessing, decoding = map(metadata.get, ("class_names", "preprocessing", "decoding"))
        return cls(
            fingerprint=metadata[_FINGERPRINT],
            checkpoint=metadata.get("checkpoint", ""),
            task=metadata.get("task"),
            class_names=checked_names(json.loads(names)) if names else None,
            preprocessing=Preprocessing.from_dict(json.loads(preprocessing)) if preprocessing else None,
            decoding=json.loads(decoding) if decoding else None,
            preprocessing_inside=bool(json.loads(metadata.get("preprocessing_inside", "false"))),
        )
