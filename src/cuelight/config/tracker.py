"""The section ``tracker``: where results are sent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cuelight.config.fields import Name, Section, Text


class TensorBoardConfig(Section):
    """TensorBoard files in the run directory.

    Attributes:
        dir: Where to copy them during training: a folder, or a URL such as ``s3://bucket/logs``. Each run has its own
            subfolder.
    """

    dir: Name | None = None


class MLflowConfig(Section):
    """An MLflow run.

    Attributes:
        tracking_uri: The server; the environment variable ``MLFLOW_TRACKING_URI`` by default.
        experiment: The experiment; the name of the configuration by default.
        run_name: The name of the run; the name of the run directory by default.
        tags: Tags of the run, by name.
    """

    tracking_uri: Name | None = None
    experiment: Name | None = None
    run_name: Name | None = None
    tags: dict[str, Any] = Field(default_factory=dict)


class WandbConfig(Section):
    """A Weights & Biases run.

    Attributes:
        project: The project; the name of the configuration by default.
        entity: The user or team; that of the account by default.
        name: The name of the run; the name of the run directory by default.
        mode: ``offline`` keeps everything in the run directory, for ``wandb sync``.
        tags: Tags of the run.
    """

    project: Name | None = None
    entity: Name | None = None
    name: Name | None = None
    mode: Literal["online", "offline"] = "online"
    tags: list[Text] = Field(default_factory=list)


class TrackerConfig(Section):
    """Where results are sent: each key is ``true``, ``false`` or a section with options.

    Attributes:
        tensorboard: TensorBoard files in the run directory.
        csv: ``metrics.csv`` in the run directory.
        mlflow: An MLflow run.
        wandb: A Weights & Biases run.
    """

    tensorboard: bool | TensorBoardConfig = True
    csv: bool = True
    mlflow: bool | MLflowConfig = False
    wandb: bool | WandbConfig = False

    @property
    def senders(self) -> list[str]:
        """Keys of the trackers that send data out of the run directory."""
        copied = isinstance(self.tensorboard, TensorBoardConfig) and self.tensorboard.dir is not None
        sends = {"mlflow": self.mlflow is not False, "wandb": self.wandb is not False, "tensorboard.dir": copied}
        return [key for key, is_on in sends.items() if is_on]
