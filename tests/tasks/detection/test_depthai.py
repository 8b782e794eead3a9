"""Luxonis' own reader decodes the archives of detectors to the boxes that Cuelight measures."""

from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import torch

from cuelight.config.schema import ExporterConfig
from cuelight.data.targets.boxes import BOXES
from cuelight.export.archive.nn_archive import write_archive
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx
from cuelight.images.preprocessing import Preprocessing
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.detection.decode import Decoding, candidates, decode_detection, resize_boxes
from cuelight.tasks.detection.model import DetectionModel
from cuelight.tasks.detection.suppression import suppress
from cuelight.tasks.lookup import head_problems
from support.box_scenes import overlapping_scene
from support.depthai_reader import read_with_depthai

# Not imported here: depthai takes over the signals of its process.
pytestmark = pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")

NAMES = ["ant", "bee", "Größe", "dog"]
SIZE = (64, 128)
STRIDES = [(8, 16, 32), (8, 16), (4, 8, 16, 32)]
IMAGE = (120, 90)  # height and width of the scenes
THRESHOLDS = [(0.3, 0.5), (0.01, 0.65)]

# Boxes in pixels of the model input, and in those of the image: as an application maps them back.
READER = """
def answer_of(result):
    return [[d.label, d.labelName, d.confidence, d.xmin, d.ymin, d.xmax, d.ymax] for d in result.detections]

def read(archive, job):
    width, height = job["size"]
    found = decode(archive, dai.node.DetectionParser, job["outputs"], (width, height))
    place = dai.ImgTransformation(*job["image"])
    place.addScale(*job["scale"])
    place.addPadding(*job["padding"])
    for box in found:
        corners = [place.invTransformPoint(dai.Point2f(x * width, y * height)) for x, y in (box[3:5], box[5:7])]
        box[3:7] = [box[3] * width, box[4] * height, box[5] * width, box[6] * height]
        box.append([corners[0].x, corners[0].y, corners[1].x, corners[1].y])
    return found
"""


@pytest.fixture(scope="module", params=STRIDES, ids=str)
def model(request):
    torch.manual_seed(1)
    return DetectionModel("test_resnet", class_names=NAMES, input_size=SIZE, strides=list(request.param)).eval()


@pytest.fixture(scope="module")
def archives(model, tmp_path_factory):
    """An archive for each pair of thresholds."""
    folder = tmp_path_factory.mktemp("archive")
    described = ModelMetadata(
        "f" * 64,
        task="detection",
        class_names=tuple(NAMES),
        preprocessing=Preprocessing(SIZE),
        decoding=model.decoding(),
    )
    options = ExporterConfig()
    onnx = folder / "model.onnx"
    names = model.output_names
    export_onnx(model.for_export(), model.example_input_array, onnx, options, described, output_names=names)
    written = []
    for conf, iou in THRESHOLDS:
        model.given_threshold, model.iou_threshold = conf, iou
        path = folder / f"model_{conf}.tar"
        write_archive(onnx, path, name="model", heads=model.archive_heads(), check_head=head_problems)
        written.append((path, Decoding(**model.decoding())))
    return written


def fitted(seed, resize):
    """Boxes of a scene of touching, nested and crossing objects in the model input, and what moved them there."""
    preprocessing = Preprocessing(SIZE, resize=resize)
    _, target = overlapping_scene(seed, IMAGE, len(NAMES))
    boxes = BOXES.fit(target, preprocessing)
    height, width = preprocessing.scaled_size(*IMAGE)
    left, top = (SIZE[1] - width) // 2, (SIZE[0] - height) // 2
    place = {
        "size": [SIZE[1], SIZE[0]],
        "image": [IMAGE[1], IMAGE[0]],
        "scale": [width / IMAGE[1], height / IMAGE[0]],
        "padding": [top, SIZE[0] - height - top, left, SIZE[1] - width - left],
    }
    return preprocessing, boxes, place


def outputs_for(target, strides, seed, steps=None):
    """What a detector gives that sees the objects: several jittered boxes for each, of several classes, and noise.

    With ``steps``, scores are multiples of 1 / steps, so that many are equal.
    """
    numbers = np.random.default_rng(seed)
    maps = {}
    for number, stride in enumerate(strides, start=1):
        height, width = SIZE[0] // stride, SIZE[1] // stride
        distances = numbers.gamma(2.0, 1.0, (4, height, width))
        scores = numbers.random((len(NAMES), height, width)) ** 8 * 0.4
        for box, label in zip(target["boxes"].numpy(), target["labels"].numpy(), strict=True):
            sides = box.reshape(2, 2) / stride
            (left, top), (right, bottom) = np.clip(sides.astype(int), 0, [width - 1, height - 1])
            for row, column in product(range(top, bottom + 1), range(left, right + 1)):
                center = np.array([column, row]) + 0.5
                exact = np.concatenate([center - sides[0], sides[1] - center])
                distances[:, row, column] = exact + numbers.normal(0, 0.15, 4)
                scores[label, row, column] = numbers.beta(2, 2)
        if steps:
            scores = np.round(scores * steps) / steps
        scores = scores.astype(np.float32)
        maps[f"output{number}_yolov6r2"] = np.concatenate([distances, scores.max(0, keepdims=True), scores]).astype(
            "f4"
        )
    return maps


def decoded(maps, how):
    arrays = {name: values[None] for name, values in maps.items()}
    return decode_detection(arrays, NAMES, vars(how))[0]


def jobs(archives, count, steps=None):
    for seed in range(count):
        preprocessing, target, place = fitted(seed, ("stretch", "letterbox")[seed % 2])
        for archive, how in archives:
            maps = outputs_for(target, how.strides, seed, steps)
            yield archive, how, preprocessing, maps, place | {"outputs": {name: v.tolist() for name, v in maps.items()}}


def test_depthai_decodes_the_boxes_that_are_measured(archives) -> None:
    given = list(jobs(archives, 36))
    answers = read_with_depthai(READER, *((archive, job) for archive, _, _, _, job in given))
    assert min(map(len, answers)) > 0
    for answer, (_, how, preprocessing, maps, _) in zip(answers, given, strict=True):
        ours = decoded(maps, how)
        found = answer[: how.max_det]  # depthai has no such limit
        labels, names, scores, *_ = zip(*found, strict=True)
        assert list(labels) == ours.found.labels.tolist()
        assert list(names) == [NAMES[label] for label in labels]
        np.testing.assert_array_equal(np.float32(scores), ours.found.scores)
        np.testing.assert_allclose([box[3:7] for box in found], ours.found.boxes, rtol=0, atol=1e-4)
        in_image = resize_boxes(ours, preprocessing, IMAGE[::-1]).found
        theirs = np.clip([box[7] for box in found], 0, [*IMAGE[::-1]] * 2)
        theirs = theirs[(theirs[:, 2:] > theirs[:, :2]).all(axis=1)]
        np.testing.assert_allclose(theirs, in_image.boxes, rtol=0, atol=1e-3)


def test_equal_scores_change_only_which_of_them_comes_first(archives) -> None:
    """depthai sorts unstably: given its order of the boxes of equal score, the result is the same."""
    given = list(jobs(archives, 8, steps=50))
    unsuppressed = []
    for archive, how in archives:
        everything = archive.with_name(f"all_{archive.name}")
        outputs = [f"output{number}_yolov6r2" for number in range(1, len(how.strides) + 1)]
        model = DetectionModel("test_resnet", class_names=NAMES, input_size=SIZE, strides=list(how.strides))
        model.given_threshold, model.iou_threshold = how.conf_threshold, 1.1  # no IoU is that large
        assert list(model.output_names) == outputs
        write_archive(archive.parent / "model.onnx", everything, name="model", heads=model.archive_heads())
        unsuppressed.append(everything)
    orders = read_with_depthai(READER, *((unsuppressed[n % 2], job) for n, (*_, job) in enumerate(given)))
    answers = read_with_depthai(READER, *((archive, job) for archive, *_, job in given))
    changed = 0
    for order, found, (_, how, _, maps, _) in zip(orders, answers, given, strict=True):
        rows = np.array([[*box[3:7], box[2], box[0]] for box in order], np.float32)
        kept = rows[suppress(rows[:, :4], rows[:, 4], how.iou_threshold, len(rows))]
        ours = candidates(list(maps.values()), how)
        assert sorted(rows[:, 4].tolist()) == sorted(ours.scores.tolist())
        np.testing.assert_array_equal(np.float32([[*box[3:7], box[2], box[0]] for box in found]), kept)
        best = decoded(maps, how).found
        changed += len(best) != len(kept[: how.max_det]) or best.labels.tolist() != kept[: how.max_det, 5].tolist()
    assert changed  # otherwise there is nothing to explain


def test_an_exported_model_is_decoded_alike(model, archives) -> None:
    torch.manual_seed(0)
    archive = archives[0][0]
    images = torch.randn(3, 3, *SIZE)
    outputs = OnnxModel.open(archive)(images)
    with torch.inference_mode():
        expected = [maps.numpy() for maps in model.for_export()(images)]
    for name, ours in zip(model.output_names, expected, strict=True):
        np.testing.assert_allclose(outputs[name], ours, atol=1e-3)
        np.testing.assert_array_equal(outputs[name][:, 4], outputs[name][:, 5:].max(axis=1))
