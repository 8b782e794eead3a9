"""Closed lists of the callbacks, models, data, optimizers, schedulers and transforms that a file may name.

Add your own class with ``@registry.callbacks.register`` in a file passed with ``--source``, or with an entry point of
an installed package in the group ``cuelight.callbacks`` (or models, data, optimizers, schedulers, transforms).
"""

from typing import TYPE_CHECKING

from cuelight.registry.describe import ParameterInfo, PartInfo
from cuelight.registry.kinds import PartKind
from cuelight.utils.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cuelight.registry.parts import Registry as Registry
    from cuelight.registry.parts import TransformPart as TransformPart
    from cuelight.registry.parts import callbacks as callbacks
    from cuelight.registry.parts import check_part as check_part
    from cuelight.registry.parts import data as data
    from cuelight.registry.parts import further_problems as further_problems
    from cuelight.registry.parts import models as models
    from cuelight.registry.parts import optimizers as optimizers
    from cuelight.registry.parts import registry_of as registry_of
    from cuelight.registry.parts import schedulers as schedulers
    from cuelight.registry.parts import transforms as transforms
    from cuelight.registry.source import load_source as load_source
else:
    # Imported when used: what a part is called and takes is known without pydantic.
    _OF_PARTS = (
        "Registry", "TransformPart", "callbacks", "check_part", "data", "further_problems", "models", "optimizers",
        "registry_of", "schedulers", "transforms",
    )  # fmt: skip
    _LOCATIONS = {name: f"cuelight.registry.parts:{name}" for name in _OF_PARTS}
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS | {"load_source": "cuelight.registry.source:load_source"})

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
