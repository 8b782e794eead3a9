"""Prediction on image files: a table and pictures."""

from cuelight.prediction.explaining import ImageExplanation, explain, write_explanations
from cuelight.prediction.images import find_images
from cuelight.prediction.predicting import ImagePrediction, Network, predict
from cuelight.prediction.writing import write_predictions

__all__ = [
    "ImageExplanation",
    "ImagePrediction",
    "Network",
    "explain",
    "find_images",
    "predict",
    "write_explanations",
    "write_predictions",
]
