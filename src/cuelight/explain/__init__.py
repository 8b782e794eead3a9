"""How a prediction is shown: where in an image a model sees a class."""

from cuelight.explain.classes import find_class
from cuelight.explain.explanation import HeatMaps, heat_maps
from cuelight.explain.layers import Layer, find_layer, list_layers
from cuelight.explain.methods import Method
from cuelight.explain.protocols import ScoresClasses, TaskScores

__all__ = [
    "HeatMaps",
    "Layer",
    "Method",
    "ScoresClasses",
    "TaskScores",
    "find_class",
    "find_layer",
    "heat_maps",
    "list_layers",
]
