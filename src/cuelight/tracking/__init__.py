"""Where results are sent: one Lightning logger for each tracker that the file asks for.

Importing it registers what Lightning's own loggers take, see ``tracker_of``; no tracker is imported by that.
"""

from cuelight.tracking.loggers import csv_tracker, mlflow_tracker, tensorboard_tracker, wandb_tracker  # noqa: F401
