"""The weights of a checkpoint, loaded once for all steps after a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from cuelight.data.spec import DataSpec, saved_spec
from cuelight.errors import CheckpointError
from cuelight.weights.clean_copy import load_weights
from cuelight.weights.fingerprint import fingerprint
from cuelight.weights.finite import in_words, not_finite_tensors
from cuelight.weights.reading import load_checkpoint

MakeModule = Callable[[Mapping[str, Any]], pl.LightningModule]
"""Makes the module of a checkpoint (its content) in eval mode and single precision on the CPU, without its weights."""

# Large entries that only a resume needs. They stay as empty ones for modules that look at them.
_OF_A_RESUME: dict[str, Any] = {"optimizer_states": [], "current_model_state": {}}


class MeasuredWeights:
    """The weights of a checkpoint.

    Attributes:
        fingerprint: The fingerprint of the weights in the file.
        data: The saved spec of the training data.
        step: The number of optimizer steps; ``None`` if the file has no ``global_step``.
        callback_states: The state of each callback by its ``state_key``.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """

    def __init__(self, checkpoint: Path, make_module: MakeModule) -> None:
        content = load_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        try:
            self.fingerprint = fingerprint(content["state_dict"])
        except CheckpointError as error:
            raise CheckpointError(f"{checkpoint}: {error}") from error
        self.data = saved_spec(content) or DataSpec()
        self.step: int | None = content.get("global_step")
        self.callback_states: Mapping[str, Any] = content.get("callbacks", {})
        self._content = content | {key: empty for key, empty in _OF_A_RESUME.items() if key in content}
        self._make_module = make_module

    @cached_property
    def module(self) -> pl.LightningModule:
        """The module with these weights in single precision, on the CPU, in eval mode. It is shared: do not change it.

        Raises:
            CheckpointError: If the weights do not fit the model, or are not finite.
        """
        return self.separate_module()

    def separate_module(self, precision: object = "32-true") -> pl.LightningModule:
        """Return another module with these weights, which may be changed, for example to half precision.

        With a ``precision`` of Lightning that is 64 bits, it has the weights without rounding.
        """
        content = self._content | {"state_dict": dict(self._content["state_dict"])}  # a module may rename its weights
        module = self._make_module(content)
        if str(precision).startswith("64"):
            module.double()
        module.on_load_checkpoint(content)
        load_weights(module, content["state_dict"], self.checkpoint)
        if bad := not_finite_tensors(module):
            raise CheckpointError(f"{self.checkpoint}: these weights cannot be used: there is {in_words(bad)}.")
        return module
