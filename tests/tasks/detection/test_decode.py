"""Outputs of a detector become boxes; that they are those of a device is in test_depthai.py."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight.errors import CuelightError
from cuelight.prediction import write_predictions
from cuelight.prediction.predicting import ImagePrediction
from cuelight.tasks.detection.decode import decode_detection
from cuelight.tasks.detection.model import DetectionModel
from cuelight.tasks.lookup import TASKS

HOW = {"strides": [8, 16], "conf_threshold": 0.5, "iou_threshold": 0.5, "max_det": 10}
NAMES = ["ant", "bee"]


def outputs(*cells, images=1, classes=2):
    """Maps of images of 32 x 48 pixels; a cell is stride index, row, column, four distances and scores."""
    maps = [np.zeros((images, 5 + classes, 32 // s, 48 // s), np.float32) for s in HOW["strides"]]
    for level, row, column, distances, scores in cells:
        maps[level][0, :, row, column] = [*distances, max(scores), *scores]
    return dict(zip(("output1_yolov6r2", "output2_yolov6r2"), maps, strict=True))


def decoded(*cells, **how):
    return decode_detection(outputs(*cells), NAMES, HOW | how)[0]


def test_distances_are_in_strides_from_the_center_of_the_cell() -> None:
    found = decoded((0, 1, 2, (1, 0.5, 2, 1), (0.2, 0.75)), (1, 0, 2, (1, 0.25, 0.5, 1), (0.625, 0)))
    assert found.found.boxes.tolist() == [[12, 8, 36, 20], [24, 4, 48, 24]]
    assert found.found.scores.tolist() == [0.75, 0.625]
    assert found.row() == {"objects": 2, "classes": "1 x bee, 1 x ant", "score": 0.75}


def test_boxes_are_clipped_before_they_suppress_each_other() -> None:
    # Whole, their IoU is 1/3; in the image both are the same box.
    found = decoded((0, 0, 0, (0.5, 0.5, 1, 1), (0.9, 0)), (0, 0, 1, (1.5, 4, 0, 1), (0.8, 0)))
    assert len(found.found) == 1


def test_boxes_suppress_each_other_whatever_their_classes() -> None:
    found = decoded((0, 1, 1, (1, 1, 1, 1), (0.9, 0)), (0, 1, 2, (2, 1, 0, 1), (0, 0.8)))
    assert found.found.labels.tolist() == [0]


def test_an_iou_of_the_threshold_suppresses() -> None:
    cells = (0, 1, 1, (0.5, 0.5, 0.5, 0.5), (0.9, 0)), (0, 1, 2, (1.5, 0.5, 0.5, 0.5), (0.8, 0))
    assert len(decoded(*cells, iou_threshold=0.5).found) == 1
    assert len(decoded(*cells, iou_threshold=0.5001).found) == 2


def test_a_score_of_the_threshold_is_found() -> None:
    assert len(decoded((0, 1, 1, (1, 1, 1, 1), (0.5, 0))).found) == 1
    assert len(decoded((0, 1, 1, (1, 1, 1, 1), (0.5, 0)), conf_threshold=0.500001).found) == 0


def test_empty_boxes_are_dropped() -> None:
    found = decoded(
        (0, 1, 1, (0, 1, 0, 1), (0.9, 0)), (0, 1, 2, (-2, 1, 1, 1), (0.9, 0)), (0, 3, 5, (-1, 0, 9, 0), (1, 1))
    )
    assert len(found.found) == 0
    assert found.row() == {"objects": 0, "classes": "", "score": 0.0}


def test_the_best_max_det_boxes_are_kept() -> None:
    cells = [(0, row, column, (0.5,) * 4, ((row + 1) / 5, 0)) for row in range(4) for column in range(6)]
    found = decoded(*cells, conf_threshold=0.1, max_det=8)
    assert found.found.scores.tolist() == pytest.approx([0.8] * 6 + [0.6] * 2)


def test_details_and_coco_results_are_plain() -> None:
    found = decoded((0, 1, 2, (1, 0.5, 2, 1), (0.25, 0.75)))
    assert json.loads(json.dumps(found.details())) == {
        "objects": [{"class": "bee", "index": 1, "score": 0.75, "box": [12, 8, 36, 20]}]
    }
    assert found.coco(7) == [{"image_id": 7, "category_id": 2, "bbox": [12, 8, 24, 12], "score": 0.75}]


def test_classes_without_a_name_have_their_index() -> None:
    found = decode_detection(outputs((0, 1, 2, (1, 1, 1, 1), (0, 0.9))), None, HOW)[0]
    assert found.row()["classes"] == "1 x 1"


@pytest.mark.parametrize("maps", [{}, {"logits": np.zeros((1, 2))}, dict([*outputs().items()][:1])])
def test_other_outputs_are_refused(maps) -> None:
    with pytest.raises(CuelightError, match=r"expected 2 outputs .* one for each stride of 8, 16; got"):
        decode_detection(maps, NAMES, HOW)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(CuelightError, match="NaN or infinity"):
        decode_detection(outputs((0, 1, 1, (np.nan, 1, 1, 1), (0.9, 0))), NAMES, HOW)


def test_two_images_have_different_ids_in_coco_results(tmp_path, caplog) -> None:
    found, image = decoded((0, 1, 2, (1, 0.5, 2, 1), (0.25, 0.75))), Image.new("RGB", (64, 64))
    paths = [tmp_path / "a" / "5.png", tmp_path / "b" / "5.png", tmp_path / "6.png"]
    written = [ImagePrediction(path, image, found, TASKS["detection"]) for path in paths]
    write_predictions(written, tmp_path / "out", coco=True)
    results = json.loads((tmp_path / "out" / "predictions_coco.json").read_text())
    assert [one["image_id"] for one in results] == [5, str(paths[1]), 6]
    assert "another image has the COCO id 5" in caplog.text


def test_scores_below_the_floor_that_are_shipped_are_measured() -> None:
    logits = [torch.full((1, 5, 8, 8), -6.0), torch.full((1, 5, 4, 4), -6.0)]
    for values in logits:
        values[:, :4] = 1
    nothing = torch.zeros(1, 1, dtype=torch.bool)
    target = {"boxes": torch.zeros(1, 1, 4), "labels": torch.tensor([[-1]]), "crowd": nothing}
    for threshold, measured in ((0.5, False), (0.001, True)):
        options = {"input_size": (64, 64), "strides": [8, 16], "conf_threshold": threshold}
        model = DetectionModel("test_resnet", num_classes=1, **options)
        [found], _ = model.compared(logits, target)
        assert bool(len(found.on_device)) == measured
