"""Data modules for images with labels, masks, boxes or points, prepared alike for training, export and archive.

Classes are imported on first use.
"""

from typing import TYPE_CHECKING

from cuelight.registry.builtins import DATA
from cuelight.utils.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from cuelight.data.base.box_file_data_module import BoxFileDataModule as BoxFileDataModule
    from cuelight.data.base.image_file_data_module import ImageFileDataModule as ImageFileDataModule
    from cuelight.data.base.label_data_module import LabelDataModule as LabelDataModule
    from cuelight.data.base.mask_file_data_module import MaskFileDataModule as MaskFileDataModule
    from cuelight.data.base.multi_label_file_data_module import MultiLabelFileDataModule as MultiLabelFileDataModule
    from cuelight.data.datasets.coco import CocoDetection as CocoDetection
    from cuelight.data.datasets.coco_multi_label import CocoMultiLabel as CocoMultiLabel
    from cuelight.data.datasets.digit_boxes import DigitBoxes as DigitBoxes
    from cuelight.data.datasets.digit_keypoints import DigitKeypoints as DigitKeypoints
    from cuelight.data.datasets.digit_labels import DigitLabels as DigitLabels
    from cuelight.data.datasets.digit_scenes import DigitScenes as DigitScenes
    from cuelight.data.datasets.digits import Digits as Digits
    from cuelight.data.datasets.hugging_face import HuggingFaceImages as HuggingFaceImages
    from cuelight.data.datasets.image_folder import ImageFolder as ImageFolder
    from cuelight.data.datasets.image_list import ImageList as ImageList
    from cuelight.data.datasets.keypoint_files import CocoKeypoints as CocoKeypoints
    from cuelight.data.datasets.keypoint_files import YoloKeypoints as YoloKeypoints
    from cuelight.data.datasets.luxonis import LuxonisClassification as LuxonisClassification
    from cuelight.data.datasets.luxonis import LuxonisDetection as LuxonisDetection
    from cuelight.data.datasets.mask_folder import MaskFolder as MaskFolder
    from cuelight.data.datasets.multi_label_folder import MultiLabelFolder as MultiLabelFolder
    from cuelight.data.datasets.voc import VOCSegmentation as VOCSegmentation
    from cuelight.data.datasets.voc_detection import VOCDetection as VOCDetection
    from cuelight.data.datasets.yolo import YoloDetection as YoloDetection
    from cuelight.data.loading.prefetching import ResumableLoader as ResumableLoader
    from cuelight.images.preprocessing import Preprocessing as Preprocessing
else:
    # For data modules of your own.
    _LOCATIONS = DATA | {
        "BoxFileDataModule": "cuelight.data.base.box_file_data_module:BoxFileDataModule",
        "ImageFileDataModule": "cuelight.data.base.image_file_data_module:ImageFileDataModule",
        "LabelDataModule": "cuelight.data.base.label_data_module:LabelDataModule",
        "MaskFileDataModule": "cuelight.data.base.mask_file_data_module:MaskFileDataModule",
        "MultiLabelFileDataModule": "cuelight.data.base.multi_label_file_data_module:MultiLabelFileDataModule",
        "Preprocessing": "cuelight.images.preprocessing:Preprocessing",
        "ResumableLoader": "cuelight.data.loading.prefetching:ResumableLoader",
    }
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS)
    __all__ = list(_LOCATIONS)
