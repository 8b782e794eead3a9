"""Shared by the models of all tasks, and for your own models. Classes are imported on first use."""

from typing import TYPE_CHECKING

from cuelight.utils.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cuelight.training.optimization import Optimization as Optimization
    from cuelight.training.supervised import SupervisedModel as SupervisedModel
else:
    _LOCATIONS = {
        "Optimization": "cuelight.training.optimization:Optimization",
        "SupervisedModel": "cuelight.training.supervised:SupervisedModel",
    }
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS)
    __all__ = list(_LOCATIONS)
