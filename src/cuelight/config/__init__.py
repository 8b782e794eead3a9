"""Read and check configurations. Imports neither torch nor Lightning."""

from cuelight.config.resolving import PartCheck, load_config
from cuelight.config.schema import (
    CallbackPart,
    Config,
    ExporterConfig,
    ModelPart,
    OptimizerPart,
    Part,
    SchedulerPart,
    TrainerConfig,
)
from cuelight.config.tracker import TrackerConfig

__all__ = [
    "CallbackPart",
    "Config",
    "ExporterConfig",
    "ModelPart",
    "OptimizerPart",
    "Part",
    "PartCheck",
    "SchedulerPart",
    "TrackerConfig",
    "TrainerConfig",
    "load_config",
]
