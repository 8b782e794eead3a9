"""Prediction on image files: a table and pictures. Names are imported on first use."""

from typing import TYPE_CHECKING

from cuelight.utils.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cuelight.prediction.explaining import ImageExplanation as ImageExplanation
    from cuelight.prediction.explaining import explain as explain
    from cuelight.prediction.explaining import write_explanations as write_explanations
    from cuelight.prediction.images import find_images as find_images
    from cuelight.prediction.predicting import ImagePrediction as ImagePrediction
    from cuelight.prediction.predicting import Network as Network
    from cuelight.prediction.predicting import predict as predict
    from cuelight.prediction.writing import write_predictions as write_predictions
else:
    _LOCATIONS = {
        "ImageExplanation": "cuelight.prediction.explaining:ImageExplanation",
        "ImagePrediction": "cuelight.prediction.predicting:ImagePrediction",
        "Network": "cuelight.prediction.predicting:Network",
        "explain": "cuelight.prediction.explaining:explain",
        "find_images": "cuelight.prediction.images:find_images",
        "predict": "cuelight.prediction.predicting:predict",
        "write_explanations": "cuelight.prediction.explaining:write_explanations",
        "write_predictions": "cuelight.prediction.writing:write_predictions",
    }
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS)
    __all__ = list(_LOCATIONS)
