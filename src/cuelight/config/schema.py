"""What a user may write: the sections of a configuration and their keys, types and defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from cuelight.config.dumping import to_yaml
from cuelight.config.fields import (
    EMPTY_IF_NULL,
    NO_ENTRIES_IF_NULL,
    AtLeast0,
    AtLeast1,
    Devices,
    MaxTime,
    Name,
    Precision,
    RunName,
    Section,
)
from cuelight.config.origin import Origin
from cuelight.config.tracker import TrackerConfig
from cuelight.errors import ConfigWarning, Problem

_Path = tuple[str | int, ...]
_Message = TypeVar("_Message", bound=Problem | ConfigWarning)


class Part(Section):
    """A pluggable part: a registered name and the parameters to make it with.

    Attributes:
        name: A name that the registry has.
        params: Parameters by name; they are checked against the signature of the class.
    """

    name: Name
    params: Annotated[dict[str, Any], EMPTY_IF_NULL] = Field(default_factory=dict)


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


class TrainerConfig(Section):
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
    max_time: MaxTime = None
    batch_size: AtLeast1 = 32
    precision: Precision = "32-true"
    accelerator: Name = "auto"
    devices: Devices = "auto"
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
    callbacks: Annotated[list[CallbackPart], NO_ENTRIES_IF_NULL] = Field(default_factory=list)


class ExporterConfig(Section):
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

    name: RunName | None = None
    opset: Annotated[int, Field(ge=11, le=23)] = 17
    dynamic_batch: bool = False
    half_precision: bool = False
    simplify: bool = True
    preprocessing: bool = False
    tolerance: Annotated[float, Field(gt=0)] | None = None
    compression: Literal["none", "gz", "bz2", "xz"] = "none"


class Config(Section):
    """A whole configuration, checked and complete.

    Attributes:
        name: Name of the run folder.
        model: What learns.
        data: What is learnt from.
        trainer: How to train.
        tracker: Where results are sent.
        exporter: How the trained model leaves.
    """

    name: RunName = "run"
    model: Part
    data: Part
    trainer: Annotated[TrainerConfig, EMPTY_IF_NULL] = TrainerConfig()
    tracker: Annotated[TrackerConfig, EMPTY_IF_NULL] = TrackerConfig()
    exporter: Annotated[ExporterConfig, EMPTY_IF_NULL] = ExporterConfig()

    _templates: dict[_Path, str] = PrivateAttr(default_factory=dict)
    _origin: Origin = PrivateAttr(default_factory=Origin)

    def set_origin(self, origin: Origin, templates: Mapping[_Path, str]) -> None:
        """Note where the configuration was written, and its references to environment variables by their path."""
        self._origin = origin
        self._templates.update(templates)

    def locate(self, messages: Iterable[_Message]) -> list[_Message]:
        """Add file and line to messages about this configuration.

        Args:
            messages: Problems and warnings, with their key paths.

        Returns:
            Each once, in the order of the file; those about overrides come last.
        """
        return self._origin.locate(messages)

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
