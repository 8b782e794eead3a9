"""Images with boxes and points, in the formats of COCO and of YOLO."""

from __future__ import annotations

from cuelight.data.base.keypoint_file_data_module import KeypointFileDataModule
from cuelight.data.datasets.coco import CocoDetection
from cuelight.data.datasets.yolo import YoloDetection


class CocoKeypoints(KeypointFileDataModule, CocoDetection):
    """Images with boxes and points in JSON files of the format of COCO (Lin et al., 2014, Microsoft COCO).

    The categories have the names of the points and the edges of the skeleton, and the annotations x, y and visibility
    of each point: 0 not labelled, 1 hidden, 2 visible. Files are found as by
    :class:`~cuelight.data.datasets.coco.CocoDetection`, those named ``person_keypoints`` first.

    Args:
        **options: As for CocoDetection, and ``flip_pairs``.
    """

    prefix = "person_keypoints"


class YoloKeypoints(KeypointFileDataModule, YoloDetection):
    """Images with boxes and points in the layout that trainers of YOLO read for poses.

    As for :class:`~cuelight.data.datasets.yolo.YoloDetection`, where ``data.yaml`` has ``kpt_shape``, the number of
    points and of the numbers of each; perhaps ``flip_idx``, for each point the one in its place in a mirrored image;
    and perhaps ``kpt_names``. In a line of the labels, points follow the box: x, y and, if ``kpt_shape`` has a 3, the
    visibility: 0 not labelled, 1 hidden, 2 visible.

    Args:
        **options: As for YoloDetection, and ``flip_pairs``.
    """
