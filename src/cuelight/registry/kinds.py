"""The kinds of parts, and which parameters of each the run supplies instead of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cuelight.registry import builtins


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Args:
        name: Singular, as in messages.
        plural: As in the group of its entry points, ``cuelight.<plural>``.
        builtins: Cuelight's own parts: ``module:attribute`` by name.
        reserved: Parameters that a file may not set, each with what to do instead.
        supplied: Parameters that the run supplies if the file does not set them.
    """

    name: str
    plural: str
    builtins: Mapping[str, str]
    reserved: Mapping[str, str] = field(default_factory=dict)
    supplied: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PartKind:
    """Marks a parameter that takes parts of a kind, so that their names and parameters are checked as well.

    Use ``Annotated[Part, PartKind("transform")]`` for one part, or a list of this type.
    """

    name: str


@dataclass(frozen=True)
class NamesOf:
    """Marks a text that must be in a list of names: a key of ``builtins.NAME_LISTS``."""

    name: str


KINDS = (
    Kind("callback", "callbacks", builtins.CALLBACKS),
    Kind(
        "model",
        "models",
        builtins.MODELS,
        reserved={
            "class_names": "they are taken from the data",
            "class_counts": "they are taken from the data",
            "keypoint_names": "they are taken from the data",
            "skeleton": "it is taken from the data",
            "optimization": "set trainer.optimizer and trainer.scheduler",
        },
        supplied=frozenset({"num_classes", "in_channels", "input_size"}),
    ),
    Kind(
        "data",
        "data",
        builtins.DATA,
        reserved={
            "batch_size": "set trainer.batch_size",
            "num_workers": "set trainer.num_workers",
            "seed": "set trainer.seed",
        },
    ),
    Kind("optimizer", "optimizers", builtins.OPTIMIZERS, {"params": "the parameters of the model are used"}),
    Kind(
        "scheduler",
        "schedulers",
        builtins.SCHEDULERS,
        reserved={
            "optimizer": "set trainer.optimizer",
            "last_epoch": "a resumed run continues where it stopped",
        },
        # The length of training, computed from the trainer section.
        supplied=frozenset({"T_max", "total_steps", "total_iters", "epochs", "steps_per_epoch"}),
    ),
    Kind("transform", "transforms", builtins.TRANSFORMS),
)
