"""Luxonis' own reader decodes the archives of keypoint models to the points that Cuelight measures."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from cuelight.config.schema import ExporterConfig
from cuelight.data.datasets.digit_keypoints import CORNERS, DigitKeypoints
from cuelight.export.archive.nn_archive import write_archive
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx
from cuelight.images.preprocessing import Preprocessing
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.keypoints.decode import decode_keypoints
from cuelight.tasks.keypoints.model import KeypointModel
from cuelight.tasks.lookup import head_problems
from support.depthai_reader import read_with_depthai

# Not imported here: depthai takes over the signals of its process.
pytestmark = pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")

SIZE = (64, 96)
NAMES = list("0123456789")
STRIDES = [(8, 16, 32), (8, 16)]
READER = """
def answer_of(result):
    return [
        [d.label, d.confidence, d.xmin, d.ymin, d.xmax, d.ymax, [list(edge) for edge in d.getEdges()],
         [[p.imageCoordinates.x, p.imageCoordinates.y, p.confidence, p.labelName] for p in d.getKeypoints()]]
        for d in result.detections
    ]

def read(archive, job):
    return decode(archive, dai.node.DetectionParser, job["outputs"], job["size"])
"""


@pytest.fixture(scope="module", params=STRIDES, ids=str)
def model(request):
    torch.manual_seed(1)
    return KeypointModel(
        list(CORNERS.names),
        list(CORNERS.edges),
        backbone="test_resnet",
        class_names=NAMES,
        input_size=SIZE,
        strides=list(request.param),
        conf_threshold=0.3,
        iou_threshold=0.5,
    ).eval()


@pytest.fixture(scope="module")
def archive(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    described = ModelMetadata(
        "f" * 64,
        task="keypoints",
        class_names=tuple(NAMES),
        preprocessing=Preprocessing(SIZE),
        decoding=model.decoding(),
    )
    onnx = folder / "model.onnx"
    names = model.output_names
    export_onnx(model.for_export(), model.example_input_array, onnx, ExporterConfig(), described, output_names=names)
    heads = model.archive_heads()
    return write_archive(onnx, folder / "model.tar", name="model", heads=heads, check_head=head_problems)


def outputs_for(target, strides, seed):
    """What a model gives that sees the objects: jittered boxes and points, some outside of the image, and noise."""
    numbers = np.random.default_rng(seed)
    boxes, points = [], []
    for stride in strides:
        height, width = SIZE[0] // stride, SIZE[1] // stride
        distances = numbers.gamma(2.0, 1.0, (4, height, width))
        scores = numbers.random((len(NAMES), height, width)) ** 8 * 0.4
        offsets = numbers.normal(0, 3, (4, 3, height, width))
        for box, label, corners in zip(*(target[name].numpy() for name in ("boxes", "labels", "points")), strict=True):
            sides = box.reshape(2, 2) / stride
            column, row = np.clip(sides.mean(axis=0).astype(int), 0, [width - 1, height - 1])
            center = np.array([column, row]) + 0.5
            distances[:, row, column] = np.concatenate([center - sides[0], sides[1] - center])
            scores[label, row, column] = numbers.beta(4, 2)
            offsets[:, :2, row, column] = corners / stride - center + numbers.normal(0, 0.3, (4, 2))
        boxes.append(torch.from_numpy(np.concatenate([distances, np.log(scores / (1 - scores))])).float()[None])
        points.append(torch.from_numpy(offsets.reshape(12, height, width)).float()[None])
    return [*boxes, *points]


def test_depthai_decodes_the_points_that_are_measured(model, archive) -> None:
    """Over 100 scenes, within a tenth of a pixel."""
    data = DigitKeypoints(SIZE, train_scenes=100, val_scenes=1, test_scenes=1)
    data.setup()
    jobs, ours = [], []
    for index in range(100):
        raw = outputs_for(data._splits["train"][index][1], model.strides, index)
        outputs = {name: values.numpy() for name, values in zip(model.output_names, model.exported(raw), strict=True)}
        ours.append(decode_keypoints(outputs, NAMES, model.decoding())[0])
        # On the host, the reader takes the points as maps; a device gives them as they are.
        as_maps = {
            name: values[0].reshape(-1, SIZE[0] // stride, SIZE[1] // stride).tolist()
            for (name, values), stride in zip(outputs.items(), model.strides * 2, strict=True)
        }
        jobs.append((archive, {"outputs": as_maps, "size": [SIZE[1], SIZE[0]]}))
    answers = read_with_depthai(READER, *jobs)
    assert sum(map(len, answers)) > 150
    clipped = 0
    for answer, one in zip(answers, ours, strict=True):
        assert [each[0] for each in answer] == one.found.labels.tolist()
        theirs = np.array([[point[:3] for point in each[7]] for each in answer]).reshape(-1, 4, 3)
        np.testing.assert_allclose(theirs[..., :2] * SIZE[::-1], one.found.points[..., :2], rtol=0, atol=0.1)
        np.testing.assert_allclose(theirs[..., 2], one.found.points[..., 2], rtol=0, atol=1e-4)
        clipped += int((theirs[..., :2] == 0).any() or (theirs[..., :2] == 1).any())
        for each in answer:
            assert [point[3] for point in each[7]] == list(CORNERS.names)
            assert [tuple(edge) for edge in each[6]] == list(CORNERS.edges)
    assert clipped > 10  # points outside are clipped alike


def test_an_exported_model_is_decoded_alike(model, archive) -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 3, *SIZE)
    outputs = OnnxModel.open(archive)(images)
    with torch.inference_mode():
        expected = [maps.numpy() for maps in model.for_export()(images)]
    assert list(outputs) == list(model.output_names)
    for name, values in zip(model.output_names, expected, strict=True):
        np.testing.assert_allclose(outputs[name], values, atol=1e-3)
