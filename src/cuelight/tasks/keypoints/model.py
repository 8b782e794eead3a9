"""Keypoints: boxes with a class and named points each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor
from torchmetrics import MetricCollection

from cuelight.data.skeleton import to_pairs
from cuelight.errors import ConfigError, Problem
from cuelight.tasks.detection.losses import DetectionLoss
from cuelight.tasks.detection.model import DetectionModel
from cuelight.tasks.keypoints.archive import keypoint_head, keypoint_output_names
from cuelight.tasks.keypoints.decode import KeypointDecoding, candidates, point_objects_of
from cuelight.tasks.keypoints.explain import KeypointScores
from cuelight.tasks.keypoints.losses import KeypointLoss, points_for_parser
from cuelight.tasks.keypoints.metrics import KeypointMetrics

Positive = Annotated[float, Field(gt=0)]

# Of T.-Y. Lin et al., "Microsoft COCO": nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)


class KeypointModel(DetectionModel):
    """Finds objects and their named points.

    It is a :class:`~cuelight.tasks.detection.model.DetectionModel` with one more branch for points at each stride.
    Batches are images ``(N, C, H, W)`` and a :class:`~cuelight.data.targets.keypoints.KeypointTarget`. The loss of a
    point is 1 minus the object keypoint similarity (D. Maji et al., 2022, "YOLO-Pose"). Besides what DetectionModel
    logs of the boxes, ``oks_map`` (mean average precision over the similarities 0.5 to 0.95), ``oks_map_50``,
    ``oks_map_75`` and ``pck`` (share of the labelled points that are correct) are logged. All are measured after the
    suppression of an OAK.

    Args:
        keypoint_names: The name of each point; taken from the data.
        skeleton: The points that are joined by a line in pictures, as pairs of indices; taken from the data.
        sigmas: How exact a point is labelled, relative to the square root of the area of its object: one number, one
            for each point, or coco for the 17 points of COCO. A distance of two sigmas has a similarity of 0.61.
        area_share: Area of an object relative to that of its box; 0.53 is close to the persons of COCO.
        pck_share: A point is correct if its distance is at most this share of the longer side of the box.
        oks_weight: Weight of the similarity in the loss.
        visibility_weight: Weight of the visibility in the loss.
        **options: As for :class:`~cuelight.tasks.detection.model.DetectionModel`.

    Raises:
        ConfigError: As for DetectionModel, or the names of the points are missing or do not fit the sigmas.

    Examples:
        >>> model = KeypointModel(["head", "tail"], backbone="resnet10t", num_classes=3, input_size=(64, 64))
        >>> [tuple(maps.shape) for maps in model.eval()(model.example_input_array)][::3]
        [(1, 7, 8, 8), (1, 6, 8, 8)]
    """

    task: ClassVar[str] = "keypoints"
    main_metric: ClassVar[str] = "oks_map"
    read_candidates = staticmethod(candidates)
    read_objects = staticmethod(point_objects_of)
    logged_metrics: ClassVar[tuple[str, ...]] = (
        *DetectionModel.logged_metrics,
        *("val/oks_map", "val/oks_map_50", "val/oks_map_75", "val/pck"),
    )

    def __init__(
        self,
        keypoint_names: list[str] | None = None,
        skeleton: list[tuple[int, int]] | None = None,
        sigmas: Positive | Annotated[list[Positive], Field(min_length=1)] | Literal["coco"] = 0.05,
        area_share: Annotated[float, Field(gt=0, le=1)] = 1.0,
        pck_share: Positive = 0.1,
        oks_weight: Positive = 5.0,
        visibility_weight: Positive = 0.5,
        **options: Any,
    ) -> None:
        names = tuple(keypoint_names or ())
        of_points = _sigmas_of(sigmas, names)
        super().__init__(**options)
        self.keypoint_names, self.edges = names, to_pairs(skeleton or ())
        self.network.add_points(len(names))
        self.output_names = tuple(keypoint_output_names(len(self.strides)))
        for metrics in (self.val_metrics, self.test_metrics):
            metrics.add_metrics({"points": KeypointMetrics(of_points, area_share, pck_share, self.max_det)})
        of_boxes = cast("DetectionLoss", self.loss)
        self.loss = KeypointLoss(of_boxes, of_points, area_share, oks_weight, visibility_weight)

    def decoding(self) -> dict[str, Any]:
        """Return how the outputs of the exported model become boxes with points."""
        return asdict(
            KeypointDecoding(**super().decoding(), keypoint_label_names=self.keypoint_names, skeleton_edges=self.edges)
        )

    def exported(self, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the outputs of the exported file: probabilities and pixels, as the parser of depthai reads them."""
        count = len(self.strides)
        return *super().exported(outputs[:count]), *points_for_parser(outputs[count:], self.strides)

    def archive_heads(self) -> list[dict[str, Any]]:
        """Return the head of the NN Archive, by which a device decodes the outputs."""
        return [keypoint_head(self.all_class_names(), self.output_names, self.decoding())]

    def class_scores(self) -> KeypointScores:
        """Return the class scores of the outputs of ``forward``."""
        return KeypointScores()

    def result_tables(self, class_names: Sequence[str] | None = None) -> dict[str, list[list[Any]]]:
        """Return the tables of DetectionModel, and the errors of each point; none if nothing was measured."""
        tables = super().result_tables(class_names)
        tested, validated = (_points(metrics).errors for metrics in (self.test_metrics, self.val_metrics))
        if not tables or (errors := tested or validated) is None:
            return tables
        columns = {"point_pck": ("PCK", errors.correct), "point_error": ("mean distance in pixels", errors.distance)}
        return tables | {
            key: [["point", title], *map(list, zip(self.keypoint_names, map(float, values), strict=True))]
            for key, (title, values) in columns.items()
        }


def _sigmas_of(sigmas: float | list[float] | str, names: Sequence[str]) -> list[float]:
    """Return the sigma of each point, or raise ``ConfigError``."""
    if not names:
        message = "there are no points. Use data with keypoints, or give keypoint_names."
        raise ConfigError([Problem(message, "model.params.keypoint_names")])
    given = COCO_SIGMAS if isinstance(sigmas, str) else sigmas
    values = [given] * len(names) if isinstance(given, (int, float)) else list(given)
    if len(values) != len(names):
        message = (
            f"there are {len(values)} sigmas for {len(names)} points: {', '.join(names)}. Give one for each, or one."
        )
        raise ConfigError([Problem(message, "model.params.sigmas")])
    return values


def _points(metrics: MetricCollection) -> KeypointMetrics:
    found: Any = metrics["points"]
    measured: KeypointMetrics = found
    return measured
