"""Lightning's EarlyStopping, with documented parameters."""

from __future__ import annotations

from typing import Any, Literal

from lightning.pytorch import callbacks


class EarlyStopping(callbacks.EarlyStopping):
    """Stops training when a metric no longer improves.

    Args:
        monitor: The logged metric to monitor, such as val/loss.
        min_delta: Smallest change that counts as an improvement.
        patience: Checks without improvement before training stops; one check comes after each validation.
        verbose: Whether to report each improvement.
        mode: Whether a smaller or a larger value is better.
        strict: Whether it is an error if the metric is not logged.
        check_finite: Whether to stop when the metric is NaN or infinite.
        stopping_threshold: Stop at once when the metric is better than this.
        divergence_threshold: Stop at once when the metric is worse than this.
        check_on_train_epoch_end: Check at the end of a training epoch (true) or of a validation (false); if left out,
            at the end of the epoch where each epoch has exactly one validation.
        log_rank_zero_only: Whether only the first process reports.
    """

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: Literal["min", "max"] = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        super().__init__(
            monitor=monitor,
            min_delta=min_delta,
            patience=patience,
            verbose=verbose,
            mode=mode,
            strict=strict,
            check_finite=check_finite,
            stopping_threshold=stopping_threshold,
            divergence_threshold=divergence_threshold,
            check_on_train_epoch_end=check_on_train_epoch_end,
            log_rank_zero_only=log_rank_zero_only,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state, but not the patience: it may have been changed for the resume."""
        super().load_state_dict(state_dict | {"patience": self.patience})
