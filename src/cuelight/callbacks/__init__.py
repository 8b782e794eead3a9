"""Callbacks for any Lightning Trainer.

A callback is imported when its name is used: ``from cuelight.callbacks import EMACallback`` does not import ONNX.
"""

from typing import TYPE_CHECKING

from cuelight.registry.builtins import CALLBACKS
from cuelight.utils.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cuelight.callbacks.added.last_checkpoint import LastCheckpoint as LastCheckpoint
    from cuelight.callbacks.added.progress import ProgressDisplay as ProgressDisplay
    from cuelight.callbacks.added.seed_each_batch import SeedEachBatch as SeedEachBatch
    from cuelight.callbacks.added.step_on_plateau import StepOnPlateau as StepOnPlateau
    from cuelight.callbacks.added.stop_after_steps import StopAfterSteps as StopAfterSteps
    from cuelight.callbacks.added.watch_loss import WatchLoss as WatchLoss
    from cuelight.callbacks.archive_on_train_end import ArchiveOnTrainEnd as ArchiveOnTrainEnd
    from cuelight.callbacks.channels_last import ChannelsLast as ChannelsLast
    from cuelight.callbacks.ema.ema_callback import EMACallback as EMACallback
    from cuelight.callbacks.export_on_train_end import ExportOnTrainEnd as ExportOnTrainEnd
    from cuelight.callbacks.gpu_stats_monitor import GPUStatsMonitor as GPUStatsMonitor
    from cuelight.callbacks.grad_cam_callback import GradCamCallback as GradCamCallback
    from cuelight.callbacks.lightning.device_stats_monitor import DeviceStatsMonitor as DeviceStatsMonitor
    from cuelight.callbacks.lightning.early_stopping import EarlyStopping as EarlyStopping
    from cuelight.callbacks.lightning.gradient_accumulation_scheduler import (
        GradientAccumulationScheduler as GradientAccumulationScheduler,
    )
    from cuelight.callbacks.lightning.learning_rate_monitor import LearningRateMonitor as LearningRateMonitor
    from cuelight.callbacks.lightning.model_checkpoint import ModelCheckpoint as ModelCheckpoint
    from cuelight.callbacks.lightning.model_pruning import ModelPruning as ModelPruning
    from cuelight.callbacks.lightning.rich_model_summary import RichModelSummary as RichModelSummary
    from cuelight.callbacks.lightning.stochastic_weight_averaging import (
        StochasticWeightAveraging as StochasticWeightAveraging,
    )
    from cuelight.callbacks.lightning.timer import Timer as Timer
    from cuelight.callbacks.metadata_logger import MetadataLogger as MetadataLogger
    from cuelight.callbacks.test_on_train_end import TestOnTrainEnd as TestOnTrainEnd
    from cuelight.callbacks.upload_checkpoint import UploadCheckpoint as UploadCheckpoint
else:
    # Not in the registry: a run adds these itself.
    _LOCATIONS = CALLBACKS | {
        "LastCheckpoint": "cuelight.callbacks.added.last_checkpoint:LastCheckpoint",
        "ProgressDisplay": "cuelight.callbacks.added.progress:ProgressDisplay",
        "SeedEachBatch": "cuelight.callbacks.added.seed_each_batch:SeedEachBatch",
        "StepOnPlateau": "cuelight.callbacks.added.step_on_plateau:StepOnPlateau",
        "WatchLoss": "cuelight.callbacks.added.watch_loss:WatchLoss",
        "StopAfterSteps": "cuelight.callbacks.added.stop_after_steps:StopAfterSteps",
    }
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS)
    __all__ = list(_LOCATIONS)
