"""What works, but perhaps not as it was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, StochasticWeightAveraging

from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.callbacks.upload_checkpoint import UploadCheckpoint
from cuelight.config import paths
from cuelight.config.schema import Config
from cuelight.config.tracker import TensorBoardConfig, TrackerConfig
from cuelight.utils.redaction import redacted


def find_warnings(callbacks: Sequence[pl.Callback], config: Config) -> list[str]:
    """Find what works, but perhaps not as it was meant.

    Args:
        callbacks: All callbacks, in the order in which they run.
        config: The configuration that they belong to.

    Returns:
        One sentence or two for each.
    """
    return [
        *_early_checkpoints(callbacks),
        *_averaging_with_early_stop(callbacks),
        *_pruning_back_to_first_values(callbacks),
        *_nothing_kept(callbacks),
        *_nothing_to_upload(callbacks, config.tracker),
        *_secrets_to_upload(callbacks, config),
    ]


def _early_checkpoints(callbacks: Sequence[pl.Callback]) -> Iterator[str]:
    for index, callback in enumerate(callbacks):
        later = [other for other in callbacks[index + 1 :] if isinstance(other, EarlyStopping)]
        if isinstance(callback, Checkpoint) and later:
            yield (
                f"{type(callback).__name__} stands before EarlyStopping, so its files hold the state that "
                "EarlyStopping had an epoch earlier. Put it after, unless that is what you want."
            )


def _averaging_with_early_stop(callbacks: Sequence[pl.Callback]) -> Iterator[str]:
    averages = any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks)
    if averages and any(isinstance(callback, EarlyStopping) for callback in callbacks):
        yield (
            "StochasticWeightAveraging writes its average into the model after the last planned epoch; if "
            "EarlyStopping ends the training before, the average is lost."
        )
    if averages:
        yield (
            "StochasticWeightAveraging averages beside the training: validation, the best checkpoints and so the test "
            "see the weights that are being trained, not the average. That is saved in the end, as "
            "checkpoints/swa.ckpt: measure it with cuelight test."
        )


def _pruning_back_to_first_values(callbacks: Sequence[pl.Callback]) -> Iterator[str]:
    if any(isinstance(callback, ModelPruning) and callback.use_lottery_ticket_hypothesis for callback in callbacks):
        yield (
            "ModelPruning takes the weights back to their first values at every pruning, so that validation and "
            "checkpoints after it see untrained weights. Set use_lottery_ticket_hypothesis: false to keep what was "
            "learned."
        )


def _nothing_kept(callbacks: Sequence[pl.Callback]) -> Iterator[str]:
    best = [callback for callback in callbacks if isinstance(callback, ModelCheckpoint) and callback.monitor]
    if not any(callback.save_top_k != 0 for callback in best):
        yield (
            "No callback keeps a best checkpoint, so there is nothing to test or to export after the training. Add "
            "ModelCheckpoint with a monitor, or measure checkpoints/last.ckpt with cuelight test."
        )


def _nothing_to_upload(callbacks: Sequence[pl.Callback], tracker: TrackerConfig) -> Iterator[str]:
    if not _keeps_elsewhere(tracker) and any(isinstance(callback, UploadCheckpoint) for callback in callbacks):
        yield (
            "UploadCheckpoint has nothing to do: TensorBoard and CSV keep their files in the run directory, where the "
            "checkpoint is already. Set tracker.mlflow, tracker.wandb or tracker.tensorboard.dir, or leave it out."
        )


def _secrets_to_upload(callbacks: Sequence[pl.Callback], config: Config) -> Iterator[str]:
    uploads = any(isinstance(callback, UploadCheckpoint) for callback in callbacks)
    if not (uploads and _keeps_elsewhere(config.tracker)):
        return
    tree = config.to_dict()
    written = paths.flattened(tree)
    hidden = [key for key, value in paths.flattened(redacted(tree)).items() if str(written.get(key)) != str(value)]
    if hidden:
        yield (
            "UploadCheckpoint sends checkpoints as they are, with the whole configuration in them, and what looks like "
            f"a secret is in plain text there: {', '.join(hidden)}. Write ${{env:NAME}} in its place."
        )


def _keeps_elsewhere(tracker: TrackerConfig) -> bool:
    mirrored = isinstance(tracker.tensorboard, TensorBoardConfig) and tracker.tensorboard.dir
    return bool(mirrored) or tracker.mlflow is not False or tracker.wandb is not False
