"""The sections of a configuration: their keys, types and defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
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
from cuelight.config.loading import Document, Message
from cuelight.config.tracker import TrackerConfig

_Path = tuple[str | int, ...]


class Part(Section):
    """A pluggable part: a registered name and parameters.

    Attributes:
        name: A name in the registry.
        params: Parameters by name, checked against the signature of the class.
    """

    name: Name
    params: Annotated[dict[str, Any], EMPTY_IF_NULL] = Field(default_factory=dict)


class FrozenLayers(Section):
    """Layers that are not trained; a name alone means the whole training.

    Attributes:
        match: The name of a layer or parameter, or a pattern such as ``backbone.layer*``.
        until_epoch: The first epoch, from 0, in which they are trained; by default none.
    """

    match: Name
    until_epoch: AtLeast1 | None = None

    @model_serializer(mode="wrap")
    def _as_name(self, handler: SerializerFunctionWrapHandler) -> str | dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return self.match if self.until_epoch is None else plain


def _frozen_layers(value: object) -> object:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, (str, dict)) for entry in value):
        raise ValueError("expected a list of names of layers, or of mappings with match and until_epoch")
    return [{"match": entry} if isinstance(entry, str) else entry for entry in value]


class ModelPart(Part):
    """Network and loss.

    Attributes:
        init_from: The weights to begin with: a run directory, a checkpoint, or a file with a state dict.
        freeze: What is not trained: names of layers or parameters, or patterns such as ``backbone.layer*``; with
            ``until_epoch``, it is trained later.
    """

    init_from: Name | None = None
    freeze: Annotated[
        list[FrozenLayers], BeforeValidator(_frozen_layers, json_schema_input_type=list[str | FrozenLayers])
    ] = Field(default_factory=list)


class ParameterGroup(Section):
    """Parameters of the model with settings of their own.

    Attributes:
        match: The name of a layer or parameter, or a pattern such as ``backbone.layer*``.
        params: Parameters of the optimizer for them, such as ``lr`` or ``weight_decay``.
    """

    match: Name
    params: dict[str, Any]


class OptimizerPart(Part):
    """The optimizer; AdamW by default.

    Attributes:
        groups: Settings for some parameters of the model; of several that match, the last one counts.
        layer_decay: The learning rate of each layer of the backbone as a share of that of the layer after it.
        decay_norms: Whether weight decay applies to normalization layers and biases too.
    """

    name: Name = "AdamW"
    groups: Annotated[list[ParameterGroup], NO_ENTRIES_IF_NULL] = Field(default_factory=list)
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    decay_norms: bool = True


class CallbackPart(Part):
    """A callback.

    Attributes:
        active: False switches the entry off.
    """

    active: bool = True


class SchedulerPart(Part):
    """The learning-rate scheduler.

    Attributes:
        interval: Whether the scheduler counts epochs or optimizer steps.
        warmup: Number of epochs or steps (see ``interval``) in which the learning rate grows to its value.
        monitor: The metric for ReduceLROnPlateau.
    """

    interval: Literal["epoch", "step"] = "epoch"
    warmup: AtLeast0 = 0
    monitor: Name = "val/loss"


class TrainerConfig(Section):
    """Training settings.

    Attributes:
        epochs: Number of epochs.
        max_steps: Stop after this number of optimizer steps, even before the last epoch.
        max_time: Stop after this time: ``"90m"``, ``"00:12:00:00"`` (days:hours:minutes:seconds) or
            ``{hours: 12}``.
        batch_size: Images per batch and process.
        precision: Lightning's precision, such as ``bf16-mixed``.
        accelerator: Lightning's accelerator: auto, cpu, gpu, mps, tpu.
        devices: Number of devices (-1 for all), a list of their indices, or auto.
        num_nodes: Number of machines.
        strategy: Lightning's strategy: auto, ddp, fsdp.
        accumulate_grad_batches: Batches per optimizer step.
        gradient_clip_val: Largest norm of the gradient; not clipped by default.
        validation_interval: Validate every n epochs (a whole number), or after this fraction of an epoch.
        seed: Seed of all random number generators.
        deterministic: Only deterministic algorithms; some are slower.
        num_workers: Processes that load data.
        compile: Compile the model with ``torch.compile``.
        log_every_n_steps: Optimizer steps between two logged training values.
        optimizer: The optimizer.
        scheduler: The learning-rate scheduler; a constant learning rate by default.
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
    """Export settings.

    Attributes:
        name: Name of the files, without suffix; the name of the run by default.
        opset: Version of the ONNX operators.
        dynamic_batch: Whether the batch size is free; it is 1 otherwise.
        half_precision: Whether weights and computation are float16. Inputs and outputs stay float32.
        simplify: Whether onnxslim simplifies the graph.
        preprocessing: Whether the graph includes normalization; it then takes uint8 images, RGB or grey.
        tolerance: Largest difference between the outputs of ONNX Runtime and PyTorch, as a share of the largest output;
            0.001 by default, 0.02 with half precision.
        compression: Compression of the NN Archive; weights hardly compress.
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
        model: Network and loss.
        data: Dataset.
        trainer: Training settings.
        tracker: Where results are sent.
        exporter: Export settings.
    """

    name: RunName = "run"
    model: ModelPart
    data: Part
    trainer: Annotated[TrainerConfig, EMPTY_IF_NULL] = TrainerConfig()
    tracker: Annotated[TrackerConfig, EMPTY_IF_NULL] = TrackerConfig()
    exporter: Annotated[ExporterConfig, EMPTY_IF_NULL] = ExporterConfig()

    _templates: dict[_Path, str] = PrivateAttr(default_factory=dict)
    _document: Document = PrivateAttr(default_factory=lambda: Document({}))

    def set_origin(self, document: Document, templates: Mapping[_Path, str]) -> None:
        """Store where the configuration was written, and its references to environment variables by path."""
        self._document = document
        self._templates.update(templates)

    def locate(self, messages: Iterable[Message]) -> list[Message]:
        """Add file and line to messages about this configuration.

        Returns each once, in the order of the file; those about overrides come last.
        """
        return self._document.add_places(messages)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that :func:`cuelight.config.load_config` reads again.

        References to environment variables (``${env:NAME}``) are written as in the file, without their values.
        """
        return self.model_dump()

    def to_yaml(self) -> str:
        """Return :meth:`to_dict` as YAML text."""
        return to_yaml(self.to_dict())

    @model_serializer(mode="wrap")
    def _hide_environment(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = handler(self)
        for path, template in self._templates.items():
            _put_back(tree, path, template)
        return tree

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show references to environment variables instead of their values."""
        return self.to_dict().items()


def _put_back(tree: Any, path: _Path, template: str) -> None:
    *parents, last = path
    for key in parents:
        if not (key in tree if isinstance(tree, dict) else isinstance(tree, list)):
            return
        tree = tree[key]
    tree[last] = template
