"""Closed lists of the callbacks, models, data, optimizers, schedulers and transforms that a file may name.

Add your own class with ``@registry.callbacks.register`` in a file passed with ``--source``, or with an entry point of
an installed package in the group ``cuelight.callbacks`` (or models, data, optimizers, schedulers, transforms).
"""

from typing import Annotated

from cuelight.config import Part
from cuelight.registry.describe import ParameterInfo, PartInfo
from cuelight.registry.kinds import PartKind
from cuelight.registry.parts import Registry, check_part, further_problems, registry_of
from cuelight.registry.source import load_source

callbacks = registry_of("callback")
models = registry_of("model")
data = registry_of("data")
optimizers = registry_of("optimizer")
schedulers = registry_of("scheduler")
transforms = registry_of("transform")

TransformPart = Annotated[Part, PartKind("transform")]
"""A transform of torchvision by name and parameters, as the type of a parameter."""

__all__ = [
    "ParameterInfo",
    "PartInfo",
    "PartKind",
    "Registry",
    "TransformPart",
    "callbacks",
    "check_part",
    "data",
    "further_problems",
    "load_source",
    "models",
    "optimizers",
    "registry_of",
    "schedulers",
    "transforms",
]
