"""Heat maps of the image regions that a model's class scores depend on."""

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
