"""Where results are sent: one Lightning logger for each tracker that the file asks for.

Importing it registers what Lightning's own loggers take, see ``adapter_of``; no tracker is imported by that.
"""

from cuelight.tracking.loggers import csv_adapter, mlflow_adapter, tensorboard_adapter, wandb_adapter  # noqa: F401
