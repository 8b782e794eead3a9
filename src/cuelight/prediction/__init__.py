"""A trained model at work: images in, a table and pictures out."""

from cuelight.prediction.images import find_images
from cuelight.prediction.predicting import ImagePrediction, Network, predict
from cuelight.prediction.writing import write_predictions

__all__ = ["ImagePrediction", "Network", "find_images", "predict", "write_predictions"]
