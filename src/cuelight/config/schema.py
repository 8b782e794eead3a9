"""What a user may write: the sections of a configuration and their keys, types and defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_serializer,
)

from cuelight.config.dumping import to_yaml
from cuelight.config.durations import EXPECTED, read_duration
from cuelight.config.environment import EnvironmentText

_Path = tuple[str | int, ...]


def _keep_hidden(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Pydantic would turn text from an environment variable into text that shows its value."""
    checked = handler(value)
    return value if isinstance(value, EnvironmentText) and checked == str(value) else checked


def _run_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+=-]*", name) or name.endswith((" ", ".")):
        raise ValueError("expected a name for a folder: letters, digits, spaces and . _ + = -")
    return name


def _max_time(value: object) -> object:
    if isinstance(value, (str, dict)):
        read_duration(value)
    elif value is not None:
        raise ValueError(EXPECTED)
    return value


def _devices(value: object) -> object:
    if value == [] or (isinstance(value, int) and not isinstance(value, bool) and (value == 0 or value < -1)):
        raise ValueError("expected how many devices (at least 1, or -1 for all), or a list that is not empty")
    return value


def _empty_if_null(value: object) -> object:
    """A section whose keys are all commented out reads as null, and means its defaults."""
    return {} if value is None else value


def _no_entries_if_null(value: object) -> object:
    return [] if value is None else value


Text = Annotated[str, WrapValidator(_keep_hidden)]
Name = Annotated[Text, Field(min_length=1)]
AtLeast0 = Annotated[int, Field(ge=0)]
AtLeast1 = Annotated[int, Field(ge=1)]
Precision = Literal[
    "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "transformer-engine",
    "transformer-engine-float16", "32", "16", "bf16", "64", 32, 16, 64,
]  # fmt: skip


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Part(_Section):
    """A pluggable part: a registered name and the parameters to make it with.

    Attributes:
        name: A name that the registry has.
        params: Parameters by name; they are checked against the signature of the class.
    """

    name: Name
    params: Annotated[dict[str, Any], BeforeValidator(_empty_if_null)] = {}


class OptimizerPart(Part):
    """The optimizer; without a name it is AdamW."""

    name: Name = "AdamW"


class CallbackPart(Part):
    """A callback.

    Attributes:
        active: False switches the entry off.
    """

    active: bool = True


class SchedulerPart(Part):
    """The learning-rate scheduler.

    Attributes:
        interval: What the scheduler counts: epochs or optimizer steps.
        warmup: Number of epochs or steps (see ``interval``) in which the learning rate grows to its value.
        monitor: The metric that ReduceLROnPlateau watches.
    """

    interval: Literal["epoch", "step"] = "epoch"
    warmup: AtLeast0 = 0
    monitor: Name = "val/loss"

    @field_validator("warmup")
    @classmethod
    def _no_warmup_on_plateau(cls, warmup: int, info: ValidationInfo) -> int:
        if warmup and info.data.get("name") == "ReduceLROnPlateau":
            raise ValueError("ReduceLROnPlateau cannot be combined with a warm-up; expected 0")
        return warmup


class TrainerConfig(_Section):
    """How to train.

    Attributes:
        epochs: Number of epochs.
        max_steps: Stop after this number of optimizer steps, even before the last epoch.
        max_time: Stop after this time: ``"90m"``, ``"00:12:00:00"`` (days:hours:minutes:seconds) or
            ``{hours: 12}``.
        batch_size: Images per batch and process.
        precision: Lightning's precision, such as ``bf16-mixed``.
        accelerator: Lightning's accelerator: auto, cpu, gpu, mps, tpu.
        devices: How many devices (-1 for all), which (a list of indices), or auto.
        num_nodes: Number of machines.
        strategy: Lightning's strategy: auto, ddp, fsdp.
        accumulate_grad_batches: Batches per optimizer step.
        gradient_clip_val: Largest norm of the gradient; none if left out.
        validation_interval: Validate every n epochs (a whole number), or after this fraction of an epoch.
        seed: Where all randomness starts.
        deterministic: Only deterministic algorithms; some are slower.
        num_workers: Processes that load data.
        compile: Compile the model with ``torch.compile``.
        log_every_n_steps: Optimizer steps between two logged training values.
        optimizer: The optimizer.
        scheduler: The learning-rate scheduler; a constant learning rate if left out.
        callbacks: The callbacks, in the order in which they run.
    """

    epochs: AtLeast0 = 10
    max_steps: AtLeast1 | None = None
    max_time: Annotated[
        Text | dict[str, float] | None,
        BeforeValidator(_max_time),
    ] = None
    batch_size: AtLeast1 = 32
    precision: Precision = "32-true"
    accelerator: Name = "auto"
    devices: Annotated[int | Literal["auto"] | list[int], AfterValidator(_devices)] = "auto"
    num_nodes: AtLeast1 = 1
    strategy: Name = "auto"
    accumulate_grad_batches: AtLeast1 = 1
    gradient_clip_val: Annotated[float, Field(ge=0)] | None = None
    validation_interval: AtLeast1 | Annotated[float, Field(gt=0, lt=1)] = 1
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42
    deterministic: bool = False
    num_workers: AtLeast0 = 2
    compile: bool = False
    log_every_n_steps: AtLeast1 = 10
    optimizer: OptimizerPart = OptimizerPart(params={"lr": 1e-3})
    scheduler: SchedulerPart | None = None
    callbacks: Annotated[list[CallbackPart], BeforeValidator(_no_entries_if_null)] = []


class TensorBoardConfig(_Section):
    """TensorBoard files in the run directory.

    Attributes:
        dir: Where to copy them while the training goes on: a folder, or a URL such as ``s3://bucket/logs``; each run
            has a folder of its own in it.
    """

    dir: Name | None = None


class MLflowConfig(_Section):
    """A run of MLflow.

    Attributes:
        tracking_uri: The server; that of the environment variable ``MLFLOW_TRACKING_URI`` if left out.
        experiment: The experiment; the name of the configuration if left out.
        run_name: The name of the run; that of the run directory if left out.
        tags: Tags of the run, by name.
    """

    tracking_uri: Name | None = None
    experiment: Name | None = None
    run_name: Name | None = None
    tags: dict[str, Any] = {}


class WandbConfig(_Section):
    """A run of Weights & Biases.

    Attributes:
        project: The project; the name of the configuration if left out.
        entity: The user or team; that of the account if left out.
        name: The name of the run; that of the run directory if left out.
        mode: ``offline`` keeps everything in the run directory, for ``wandb sync``.
        tags: Tags of the run.
    """

    project: Name | None = None
    entity: Name | None = None
    name: Name | None = None
    mode: Literal["online", "offline"] = "online"
    tags: list[Text] = []


class TrackerConfig(_Section):
    """Where results are sent: each ``true``, ``false``, or a section with options.

    Attributes:
        tensorboard: TensorBoard files in the run directory.
        csv: ``metrics.csv`` in the run directory.
        mlflow: A run of MLflow.
        wandb: A run of Weights & Biases.
    """

    tensorboard: bool | TensorBoardConfig = True
    csv: bool = True
    mlflow: bool | MLflowConfig = False
    wandb: bool | WandbConfig = False


class ExporterConfig(_Section):
    """How a trained model leaves.

    Attributes:
        name: Name of the files, without their endings; the name of the run if left out.
        opset: Version of the ONNX operators.
        dynamic_batch: Whether the number of images per batch is free; one image if not.
        half_precision: Whether the weights are stored, and the model computes, as float16. Inputs and outputs stay
            float32.
        simplify: Whether the graph is simplified by onnxslim.
        preprocessing: Whether the graph normalizes by itself; it then takes uint8 images, RGB or grey.
        tolerance: How far the outputs of ONNX Runtime may be from those of PyTorch, as a share of the largest output;
            0.001 if left out, 0.02 with half precision.
        compression: Of the NN Archive; weights hardly compress.
    """

    name: Annotated[Text, AfterValidator(_run_name)] | None = None
    opset: Annotated[int, Field(ge=11, le=23)] = 17
    dynamic_batch: bool = False
    half_precision: bool = False
    simplify: bool = True
    preprocessing: bool = False
    tolerance: Annotated[float, Field(gt=0)] | None = None
    compression: Literal["none", "gz", "bz2", "xz"] = "none"


class Config(_Section):
    """A whole configuration, checked and complete.

    Attributes:
        name: Name of the run folder.
        model: What learns.
        data: What is learnt from.
        trainer: How to train.
        tracker: Where results are sent.
        exporter: How the trained model leaves.
    """

    name: Annotated[Text, AfterValidator(_run_name)] = "run"
    model: Part
    data: Part
    trainer: Annotated[TrainerConfig, BeforeValidator(_empty_if_null)] = TrainerConfig()
    tracker: Annotated[TrackerConfig, BeforeValidator(_empty_if_null)] = TrackerConfig()
    exporter: Annotated[ExporterConfig, BeforeValidator(_empty_if_null)] = ExporterConfig()

    _templates: dict[_Path, str] = PrivateAttr(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data; :func:`cuelight.config.load_config` reads it again.

        Returns:
            Mappings, lists and scalars. Where an environment variable was read, the text of the file
            (``${env:NAME}``) is there again, not the value.
        """
        return self.model_dump()

    def to_yaml(self) -> str:
        """The configuration as YAML text.

        Returns:
            What :meth:`to_dict` gives, as YAML.
        """
        return to_yaml(self.to_dict())

    @model_serializer(mode="wrap")
    def _hide_environment(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = handler(self)
        for path, template in self._templates.items():
            _put_back(tree, path, template)
        return tree

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What the configuration shows of itself: no value of an environment variable."""
        return self.to_dict().items()


def _put_back(tree: Any, path: _Path, template: str) -> None:
    *parents, last = path
    for key in parents:
        if not (key in tree if isinstance(tree, dict) else isinstance(tree, list)):
            return
        tree = tree[key]
    tree[last] = template
