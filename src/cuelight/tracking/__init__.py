"""Sending results to trackers: one Lightning logger for each tracker of the configuration.

Importing this package registers the adapters of Lightning's loggers, see ``adapter_of``, but imports no tracker.
"""

from cuelight.tracking.loggers import (  # noqa: F401
    csv_adapter,
    mlflow_adapter,
    mlflow_background_adapter,
    tensorboard_adapter,
    wandb_adapter,
)
