"""Pruning, with layers and functions by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch import callbacks
from torch import Tensor, nn
from torch.nn.utils import prune

from cuelight.config import Config
from cuelight.errors import ConfigWarning, CuelightError, did_you_mean

_MOST_SHOWN = 5
_NEVER = -1


class ModelPruning(callbacks.ModelPruning):
    """Sets the least important weights to zero, once in every epoch or at every validation.

    Differences from Lightning's ModelPruning: the validation at the end of an epoch uses the pruned weights, so that a
    checkpoint holds the measured weights; a resumed training keeps the earlier pruning; and the weights go back to
    their first values at every pruning, not only at the first. The state holds these first values too.

    Args:
        pruning_fn: How weights are chosen.
        parameters_to_prune: Names of layers, or patterns with * and ?, such as layer4.*; a name includes the layers
            inside it, and its first parts may be missing. All layers if left out.
        parameter_names: Which parameters of a layer; both if left out.
        use_global_unstructured: Whether the weights of all layers are ranked together, instead of within each layer.
        amount: Fraction to prune each time (0.0 to 1.0), or number of weights (a whole number).
        apply_pruning: Whether to prune at all.
        make_pruning_permanent: Must be true: checkpoints and the trained model hold plain weights with zeros.
        use_lottery_ticket_hypothesis: Whether the weights that remain go back to their first values (J. Frankle and
            M. Carbin, 2019, "The Lottery Ticket Hypothesis").
        resample_parameters: Whether they are initialized again instead.
        pruning_dim: Dimension along which a structured function removes channels.
        pruning_norm: Order of the norm for ln_structured.
        verbose: 0 reports nothing, 1 the share of zeros, 2 the same for each layer.
        prune_on_train_epoch_end: Prune after the last batch of every epoch, before the validation that follows it;
            false prunes before every validation, which may be several times in an epoch or not in each.

    Raises:
        ValueError: If make_pruning_permanent is false.
        CuelightError: When training starts, if a pattern matches no layer.
    """

    def __init__(
        self,
        pruning_fn: Literal["ln_structured", "l1_unstructured", "random_structured", "random_unstructured"],
        parameters_to_prune: str | Sequence[str] = (),
        parameter_names: list[Literal["weight", "bias"]] | None = None,
        use_global_unstructured: bool = True,
        amount: int | float = 0.5,  # noqa: PYI041 - 1 is a number of weights, 1.0 all of them
        apply_pruning: bool = True,
        make_pruning_permanent: bool = True,
        use_lottery_ticket_hypothesis: bool = True,
        resample_parameters: bool = False,
        pruning_dim: int | None = None,
        pruning_norm: int | None = None,
        verbose: Literal[0, 1, 2] = 0,
        prune_on_train_epoch_end: bool = True,
    ) -> None:
        if not make_pruning_permanent:
            raise ValueError(
                "make_pruning_permanent: false is not supported: checkpoints would contain weight_orig and weight_mask "
                "instead of weight, and could be neither tested nor resumed. Remove it: pruned weights stay zero anyway"
            )
        super().__init__(
            pruning_fn=pruning_fn,
            parameter_names=list(parameter_names) if parameter_names else None,
            use_global_unstructured=use_global_unstructured,
            amount=amount,
            apply_pruning=apply_pruning,
            make_pruning_permanent=make_pruning_permanent,
            use_lottery_ticket_hypothesis=use_lottery_ticket_hypothesis,
            resample_parameters=resample_parameters,
            pruning_dim=pruning_dim,
            pruning_norm=pruning_norm,
            verbose=verbose,
            prune_on_train_epoch_end=prune_on_train_epoch_end,
        )
        self.patterns = [parameters_to_prune] if isinstance(parameters_to_prune, str) else list(parameters_to_prune)
        self.use_lottery_ticket_hypothesis = use_lottery_ticket_hypothesis
        self._once_per_epoch = prune_on_train_epoch_end
        self._pruned_at = _NEVER
        self._names: dict[nn.Module, str] = {}
        self._selected: dict[str, tuple[nn.Module, str]] = {}
        self._loaded_masks: dict[str, Tensor] = {}
        self._loaded_first_values: dict[str, Tensor] = {}

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[ConfigWarning]:
        """Warn that the weights go back to their first values."""
        if self.use_lottery_ticket_hypothesis:
            yield ConfigWarning(
                "ModelPruning resets the weights to their initial values at every pruning, so that validation and "
                "checkpoints after it use untrained weights. Set use_lottery_ticket_hypothesis: false to keep the "
                "trained weights.",
                "params.use_lottery_ticket_hypothesis",
            )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the layers by their names."""
        self._names = {module: name for name, module in pl_module.named_modules()}
        self._pruned_at = _NEVER
        super().setup(trainer, pl_module, stage)

    def filter_parameters_to_prune(
        self, parameters_to_prune: Sequence[tuple[nn.Module, str]] = ()
    ) -> Sequence[tuple[nn.Module, str]]:
        """Return the parameters that the patterns select, as pairs of a layer and the name of its parameter.

        Raises:
            CuelightError: If a pattern matches no layer.
        """
        layers = {self._names[module]: None for module, _ in parameters_to_prune}
        for pattern in self.patterns:
            if not any(_matches(layer, pattern) for layer in layers):
                raise CuelightError(_no_match(pattern, list(layers)))
        self._selected = {
            f"{self._names[module]}.{name}": (module, name)
            for module, name in parameters_to_prune
            if not self.patterns or any(_matches(self._names[module], pattern) for pattern in self.patterns)
        }
        return list(self._selected.values())

    def apply_lottery_ticket_hypothesis(self) -> None:
        """Set the remaining weights back to their first values."""
        super().apply_lottery_ticket_hypothesis()
        for module, parameter in self._selected.values():
            weights = getattr(module, f"{parameter}_orig")
            # Lightning assigns the storage of the first values, which training would then change.
            weights.data = weights.data.clone()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply the masks of the checkpoint, after the optimizer was created from the unpruned parameters."""
        for name, mask in self._loaded_masks.items():
            if name not in self._selected:
                raise CuelightError(
                    f"ModelPruning: the resumed training has pruned {name}, which parameters_to_prune leaves out now. "
                    "Select it too."
                )
            module, parameter = self._selected[name]
            prune.custom_from_mask(module, parameter, mask.to(getattr(module, parameter).device))  # type: ignore[no-untyped-call]
        # A resumed training creates the model without pretrained weights, so its first values differ.
        for name, tensor in self._first_values().items():
            tensor.data.copy_(self._loaded_first_values.get(name, tensor))
        self._loaded_masks, self._loaded_first_values = {}, {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prune before the weights are measured."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if self._once_per_epoch and not _ends_epoch(trainer):
            return
        with torch.inference_mode(False):  # the masks are used in training too
            self._prune_once(trainer)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do not prune, unlike Lightning: the checkpoints saved next must hold the measured weights."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prune in an epoch that ends without a validation."""
        if self._once_per_epoch:
            self._prune_once(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the masks (false where zero), the first values, and the epoch or step of the last pruning."""
        live = {
            name: getattr(module, f"{parameter}_mask").bool()
            for name, (module, parameter) in self._selected.items()
            if hasattr(module, f"{parameter}_mask")
        }
        first_values = {name: tensor.detach() for name, tensor in self._first_values().items()}
        return {
            "masks": live or self._loaded_masks,
            "first_values": self._loaded_first_values or first_values,
            "pruned_at": self._pruned_at,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state, which is applied in ``on_fit_start``."""
        self._loaded_masks = dict(state_dict["masks"])
        self._loaded_first_values = dict(state_dict["first_values"])
        self._pruned_at = state_dict["pruned_at"]

    def _prune_once(self, trainer: pl.Trainer) -> None:
        """Prune, unless it was done in this epoch or step; a resumed training may repeat its validation."""
        now = trainer.current_epoch if self._once_per_epoch else trainer.global_step
        if now != self._pruned_at:
            self._run_pruning(trainer.current_epoch)
            self._pruned_at = now

    def _first_values(self) -> dict[str, Tensor]:
        """Return the first values by parameter name; empty if the weights do not go back to them."""
        names = list(self._selected)
        return {
            names[index]: getattr(layer["data"], parameter)
            for layer in (self._original_layers or {}).values()
            for index, parameter in layer["names"]
        }


def _ends_epoch(trainer: pl.Trainer) -> bool:
    """Whether the current validation comes after the last training batch of the epoch."""
    out_of_steps = 0 <= trainer.max_steps <= trainer.global_step
    return trainer.should_stop or out_of_steps or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def _matches(layer: str, pattern: str) -> bool:
    """Whether a pattern matches a layer or one of its parents; the first parts of the name may be missing."""
    return any(fnmatchcase(name, form) for name in _with_parents(layer) for form in (pattern, f"*.{pattern}"))


def _with_parents(layer: str) -> Iterator[str]:
    parts = layer.split(".")
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def _no_match(pattern: str, layers: list[str]) -> str:
    names = list(dict.fromkeys(name for layer in layers for name in _with_parents(layer)))
    some = ", ".join(names[:_MOST_SHOWN])
    suggestion = did_you_mean(pattern, names) or did_you_mean(pattern, [name.rpartition(".")[2] for name in names])
    return f'ModelPruning: no prunable layer matches "{pattern}".{suggestion} Available: {some}, ...'
