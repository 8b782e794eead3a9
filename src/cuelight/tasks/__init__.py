"""Tasks, a folder for each. Models are imported when their names are used."""

from typing import TYPE_CHECKING

from cuelight.registry.builtins import MODELS
from cuelight.utils.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cuelight.tasks.classification.model import ClassificationModel as ClassificationModel
    from cuelight.tasks.detection.model import DetectionModel as DetectionModel
    from cuelight.tasks.keypoints.model import KeypointModel as KeypointModel
    from cuelight.tasks.multilabel.model import MultiLabelModel as MultiLabelModel
    from cuelight.tasks.segmentation.losses import SegmentationLoss as SegmentationLoss
    from cuelight.tasks.segmentation.model import SegmentationModel as SegmentationModel
else:
    _LOCATIONS = MODELS | {"SegmentationLoss": "cuelight.tasks.segmentation.losses:SegmentationLoss"}
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS)
    __all__ = list(_LOCATIONS)
