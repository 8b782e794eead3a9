"""Detection metrics, computed from the boxes of all images of all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from cuelight.tasks.detection.curves import Curves
from cuelight.tasks.detection.decode import Candidates
from cuelight.tasks.detection.matching import NONE, Objects, match
from cuelight.training.thresholds import WITHOUT_HITS

SIZES = ("small", "medium", "large")
_COLUMNS = 7  # image, four sides, score or whether it is an ignored region, class; what else there is follows
_COCO_MOST = 100  # detections of an image


class Found(NamedTuple):
    """The detections of an image above the floor: suppressed as the device does, and by class."""

    on_device: Candidates
    by_class: Candidates


class StoredBoxes(Metric):
    """Keeps detections and objects of each image, in flat states that are gathered whatever each process has."""

    full_state_update = False
    detections: list[Tensor]
    objects: list[Tensor]
    images: Tensor

    def __init__(self, more_columns: int = 0) -> None:
        super().__init__()
        self.columns = _COLUMNS + more_columns
        self.add_state("detections", [], dist_reduce_fx="cat")
        self.add_state("objects", [], dist_reduce_fx="cat")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Sequence[Found], target: Sequence[Objects]) -> None:
        """Add the images of a batch."""
        rank, ranks = self._place()
        for found, objects in zip(map(self.of, preds), target, strict=True):
            # As in the order of the data, in which the ranks take turns: equal scores stay in the same order.
            place = int(self.images) * ranks + rank
            self.detections.append(self._rows(place, found.boxes, found.scores, found.labels, self.more(found)))
            self.objects.append(self._rows(place, objects.boxes, objects.crowd, objects.labels, self.more(objects)))
            self.images += 1

    def of(self, found: Found) -> Candidates:
        """Return the detections to keep."""
        return found.on_device

    def more(self, rows: Any) -> NDArray[Any]:
        """Return further columns to keep of detections or objects."""
        return np.zeros((len(rows.labels), 0))

    def tables(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return the rows of detections and of objects of each image, in the order of the data."""
        found, objects = self._table(self.detections), self._table(self.objects)
        # Those of a process that skipped images are not consecutive. An image without boxes counts nowhere.
        places = np.unique(np.concatenate([found[:, 0], objects[:, 0]]))
        return list(zip(_split(found, places), _split(objects, places), strict=True))

    def stored(self) -> list[tuple[Candidates, Objects]]:
        """Return detections and objects of each image, in the order of the data."""
        return [
            (
                Candidates(rows[:, 1:5], rows[:, 5], rows[:, 6].astype(np.int64)),
                Objects(true[:, 1:5], true[:, 6].astype(np.int64), true[:, 5].astype(bool)),
            )
            for rows, true in self.tables()
        ]

    def _place(self) -> tuple[int, int]:
        """Return the rank and their number; one process may also measure alone in a distributed training."""
        if not self.distributed_available_fn():
            return 0, 1
        return torch.distributed.get_rank(), torch.distributed.get_world_size()

    def _rows(self, place: int, *columns: NDArray[Any]) -> Tensor:
        rows = np.column_stack([np.full(len(columns[0]), place), *columns]).astype(np.float32)
        return torch.from_numpy(rows).flatten().to(self.device)

    def _table(self, state: Any) -> NDArray[np.float32]:
        parts = [state] if isinstance(state, Tensor) else state  # a tensor once the processes have been joined
        table: NDArray[np.float32] = torch.cat([*parts, torch.zeros(0, device=self.device)]).cpu().float().numpy()
        return table.reshape(-1, self.columns)


class Precisions(NamedTuple):
    """Average precisions, 0 to 1; NaN where there is no object."""

    whole: dict[str, float]  # map, map_50, map_75
    by_class: dict[int, float]
    by_size: dict[str, float]


class DetectionMetrics(StoredBoxes):
    """Mean average precision, and precision, recall and F1 at a threshold.

    ``map`` is the mean over the IoUs 0.5 to 0.95 (T.-Y. Lin et al., 2014, "Microsoft COCO") and over the classes that
    have objects. Precision, recall and F1 are of the detections of all classes.

    Args:
        num_classes: Number of classes.
        max_det: The largest number of detections of an image.

    Attributes:
        threshold: The least score for precision, recall and F1; if ``None``, the one with the best F1 is taken.
        best_threshold: The one with the best F1, after ``compute``.
        precisions: Average precisions of classes and sizes, after ``compute``.
        curves: Recall and precision of each class at each threshold, after ``compute``.
    """

    def __init__(self, num_classes: int, max_det: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.max_det = max_det
        self.threshold: float | None = None
        self.best_threshold = WITHOUT_HITS
        self.precisions: Precisions | None = None
        self.curves: Curves | None = None

    def compute(self) -> dict[str, Tensor]:
        """Return ``map``, ``map_50``, ``map_75``, ``precision``, ``recall``, ``f1`` and their ``conf_threshold``."""
        images = self.stored()
        matches = [match(found, objects) for found, objects in images]
        self.precisions = average_precisions(images, self.max_det)
        self.curves = Curves.of(images, matches, self.num_classes)
        self.best_threshold = self.curves.best_threshold()
        threshold = self.best_threshold if self.threshold is None else self.threshold
        values = self.precisions.whole | self.curves.at(threshold) | {"conf_threshold": threshold}
        return {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}


class PaperMetrics(StoredBoxes):
    """Mean average precision as papers report it: suppressed by class, at most 100 detections of an image."""

    def of(self, found: Found) -> Candidates:
        """Return the detections after the suppression by class."""
        return found.by_class

    def compute(self) -> dict[str, Tensor]:
        """Return ``map_class_nms`` and ``map_50_class_nms``."""
        whole = average_precisions(self.stored(), _COCO_MOST).whole
        return {f"{name}_class_nms": torch.tensor(whole[name]) for name in ("map", "map_50")}


class BoxConfusionMatrix(MulticlassConfusionMatrix):
    """Confusion matrix of boxes, a row for each true class and one for the background, which has the false alarms.

    Detections find objects of any class with an IoU of at least 0.5; the column of the background has the misses.
    """

    confmat: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes + 1, validate_args=False)
        self.background = num_classes
        self.threshold = WITHOUT_HITS

    def update(self, preds: Sequence[Found], target: Sequence[Objects]) -> None:  # type: ignore[override]
        """Count the detections of a batch that have at least the threshold, and the objects."""
        for found, objects in zip(preds, target, strict=True):
            self.confmat += torch.from_numpy(self._counts(found.on_device, objects)).to(self.confmat)

    def _counts(self, found: Candidates, objects: Objects) -> NDArray[np.int64]:
        sure = found[found.scores >= np.float32(self.threshold)]
        matches, real = match(sure, objects, by_class=False), objects.counted
        missed = np.setdiff1d(np.arange(len(real.labels)), matches)
        hit, false = matches >= 0, matches == NONE
        counts = np.zeros((self.background + 1,) * 2, np.int64)
        np.add.at(counts, (real.labels[matches[hit]], sure.labels[hit]), 1)
        np.add.at(counts[self.background], sure.labels[false], 1)
        np.add.at(counts[:, self.background], real.labels[missed], 1)
        return counts


def average_precisions(images: Sequence[tuple[Candidates, Objects]], max_det: int) -> Precisions:
    """Return the average precisions of COCO."""
    present = sorted({int(label) for _, objects in images for label in objects.counted.labels})
    if not present:
        empty = dict.fromkeys(("map", "map_50", "map_75"), float("nan"))
        return Precisions(empty, {}, dict.fromkeys(SIZES, float("nan")))
    table, classes = coco_table(images, "bbox", max_det)
    return Precisions(
        {"map": mean_of(table[..., 0]), "map_50": mean_of(table[0, ..., 0]), "map_75": mean_of(table[5, ..., 0])},
        {label: mean_of(table[:, :, classes.index(label), 0]) for label in present},
        {name: mean_of(table[..., place]) for place, name in enumerate(SIZES, start=1)},
    )


def coco_table(
    images: Sequence[tuple[Any, Any]], kind: str, max_det: int, area_share: float = 1.0, **settings: Any
) -> tuple[NDArray[np.float64], list[int]]:
    """Return the precisions that faster-coco-eval computes, -1 where there is no object, and the classes.

    Args:
        images: Detections and objects of each image; those of the kind ``keypoints`` have points.
        kind: What is compared: ``bbox`` or ``keypoints``.
        max_det: The largest number of detections of an image.
        area_share: Area of an object relative to that of its box.
        **settings: Further ones of ``COCOeval_faster``.

    Returns:
        ``(similarities, recalls, classes, sizes)``, the first of which is any size; and the label of each class.
    """
    truth = [_entries(objects, area_share) for _, objects in images]
    classes = sorted({entry["category_id"] for entries in truth for entry in entries})
    shared = {
        "images": [{"id": place} for place in range(len(images))],
        "categories": [{"id": label, "name": str(label)} for label in classes],
    }
    pair = [
        COCO(shared | {"annotations": _numbered(of_images)}, print_function=_be_quiet)
        for of_images in (truth, [_entries(found) for found, _ in images])
    ]
    evaluation = COCOeval_faster(*pair, kind, print_function=_be_quiet, **settings)
    evaluation.params.maxDets = [max_det]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][..., 0], classes


def _entries(rows: Any, area_share: float = 1.0) -> list[dict[str, Any]]:
    """Return detections or objects of an image as entries of COCO."""
    sizes = (rows.boxes[:, 2:] - rows.boxes[:, :2]).astype(float)
    columns = {"category_id": rows.labels, "bbox": np.hstack([rows.boxes[:, :2], sizes])}
    columns |= {"area": sizes.prod(1) * area_share}
    columns |= {"iscrowd": rows.crowd.astype(int)} if isinstance(rows, Objects) else {"score": rows.scores}
    if hasattr(rows, "points"):
        labelled = (rows.points[..., 2] > 0).sum(1)
        columns |= {
            "keypoints": rows.points.reshape(len(rows.labels), 3 * rows.points.shape[1]),
            "num_keypoints": labelled,
        }
    values = [column.tolist() for column in columns.values()]
    return [dict(zip(columns, of_one, strict=True)) for of_one in zip(*values, strict=True)]


def _numbered(of_images: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    entries = [entry | {"image_id": place} for place, of_image in enumerate(of_images) for entry in of_image]
    return [entry | {"id": number} for number, entry in enumerate(entries, 1)]


def _be_quiet(*_: object) -> None:
    """Print nothing."""


def mean_of(table: NDArray[Any]) -> float:
    """Return the mean of precisions without the entries of -1, which have no object; NaN if all are."""
    known = table[table > -1]
    return float(known.mean()) if known.size else float("nan")


def _split(table: NDArray[np.float32], places: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the rows of each place, in their order."""
    ordered = table[np.argsort(table[:, 0], kind="stable")]
    return np.split(ordered, np.searchsorted(ordered[:, 0], places[1:]))
