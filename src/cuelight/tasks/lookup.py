"""The tasks by name. A new task needs an entry here, and its model one in ``registry/builtins.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from cuelight.tasks.classification import archive as classification_archive
from cuelight.tasks.classification.decode import decode_classification
from cuelight.tasks.classification.examples import draw_mistakes, draw_true_labels, rank_mistake
from cuelight.tasks.classification.picture import draw_classification
from cuelight.tasks.detection import archive as detection_archive
from cuelight.tasks.detection.decode import decode_detection, resize_boxes
from cuelight.tasks.detection.examples import draw_detection_examples, draw_true_boxes, rank_errors
from cuelight.tasks.detection.picture import draw_detections
from cuelight.tasks.keypoints import archive as keypoint_archive
from cuelight.tasks.keypoints.decode import decode_keypoints
from cuelight.tasks.keypoints.examples import draw_keypoint_examples, draw_true_points
from cuelight.tasks.keypoints.picture import draw_keypoints
from cuelight.tasks.multilabel import archive as multilabel_archive
from cuelight.tasks.multilabel.decode import decode_multilabel
from cuelight.tasks.multilabel.examples import draw_true_classes, draw_wrong_labels, rank_mistakes
from cuelight.tasks.multilabel.picture import draw_labels
from cuelight.tasks.segmentation import archive as segmentation_archive
from cuelight.tasks.segmentation.decode import decode_segmentation, resize_mask
from cuelight.tasks.segmentation.examples import draw_segmentation_examples, draw_true_masks
from cuelight.tasks.segmentation.picture import draw_segmentation, mask_image


class Result(Protocol):
    """Prediction for one image."""

    def row(self) -> dict[str, Any]:
        """Return all values as a table row, with the same columns for every image."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return the most important values as a row of a table that is displayed."""
        ...

    def details(self) -> dict[str, Any]:
        """Return all values in plain types, for JSON."""
        ...


@dataclass(frozen=True)
class Task:
    """A task as the other packages use it; without torch.

    Args:
        name: Name in checkpoints, files and parameters.
        targets: Description of the targets in messages.
        parser: The depthai parser that decodes its outputs on a device.
        head_problems: Yields errors of the head of an NN Archive, given the shapes of the outputs that it names.
        decode: Returns one result for each image from the outputs of a model, the class names and what
            ``ModelMetadata.decoding`` has.
        draw: Draws an image with its result.
        draw_targets: Draws training images with their targets, given the ``DataSpec``.
        draw_examples: Draws images with their targets, results and the class names.
        most_examples: How many of these.
        rank_example: Returns the rank of an image with a target and a result, of which the largest are drawn, or
            ``None`` if it is not drawn; without it the first images are.
        resize_to_image: Resizes a result from the size of the model's input to the width and height of the image.
        mask_image: Returns the class of each pixel of a result as an image.
    """

    name: str
    targets: str
    parser: str
    head_problems: Callable[[Mapping[str, Any], Mapping[str, Sequence[int | None]]], Iterable[str]]
    decode: Callable[[Mapping[str, Any], Sequence[str] | None, Mapping[str, Any] | None], Sequence[Result]]
    draw: Callable[..., Image.Image]
    draw_targets: Callable[..., Image.Image]
    draw_examples: Callable[..., Image.Image]
    most_examples: int = 6
    rank_example: Callable[[Any, Any], float | None] | None = None
    resize_to_image: Callable[..., Result] | None = None
    mask_image: Callable[[Any], Image.Image] | None = None


CLASSIFICATION = Task(
    "classification",
    "a class for each image",
    classification_archive.PARSER,
    classification_archive.head_problems,
    lambda outputs, names, _: decode_classification(outputs, names),
    draw_classification,
    draw_true_labels,
    draw_mistakes,
    most_examples=12,
    rank_example=rank_mistake,
)
SEGMENTATION = Task(
    "segmentation",
    "a mask for each image",
    segmentation_archive.PARSER,
    segmentation_archive.head_problems,
    lambda outputs, names, _: decode_segmentation(outputs, names),
    draw_segmentation,
    draw_true_masks,
    draw_segmentation_examples,
    resize_to_image=resize_mask,
    mask_image=mask_image,
)
DETECTION = Task(
    "detection",
    "boxes for each image",
    detection_archive.PARSER,
    detection_archive.head_problems,
    decode_detection,
    draw_detections,
    draw_true_boxes,
    draw_detection_examples,
    rank_example=rank_errors,
    resize_to_image=resize_boxes,
)
KEYPOINTS = Task(
    "keypoints",
    "boxes with points for each image",
    keypoint_archive.PARSER,
    keypoint_archive.head_problems,
    decode_keypoints,
    draw_keypoints,
    draw_true_points,
    draw_keypoint_examples,
    rank_example=rank_errors,
    resize_to_image=resize_boxes,
)

MULTILABEL = Task(
    "multilabel",
    "any number of classes for each image",
    multilabel_archive.PARSER,
    multilabel_archive.head_problems,
    decode_multilabel,
    draw_labels,
    draw_true_classes,
    draw_wrong_labels,
    most_examples=12,
    rank_example=rank_mistakes,
)

DEFAULT_TASK = CLASSIFICATION.name

TASKS = {task.name: task for task in (CLASSIFICATION, SEGMENTATION, DETECTION, KEYPOINTS, MULTILABEL)}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> list[str]:
    """List errors of a head of an NN Archive, given the shapes of the outputs that it names."""
    task = next((task for task in TASKS.values() if task.parser == head["parser"]), None)
    return list(task.head_problems(head, shapes)) if task else []
