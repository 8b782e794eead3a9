"""Luxonis' own reader gives the probabilities of an archive, and its metadata the classes."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from cuelight.config.schema import ExporterConfig
from cuelight.export.archive.nn_archive import write_archive
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx
from cuelight.images.preprocessing import Preprocessing
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.lookup import TASKS, head_problems
from cuelight.tasks.multilabel.model import MultiLabelModel
from support.depthai_reader import read_with_depthai

# Not imported here: depthai takes over the signals of its process.
pytestmark = pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")

NAMES = ["ant", "bee", "Größe", "dog", "eel"]
SIZE = (32, 48)

READER = """
def answer_of(result):
    return [one.prediction for one in result.predictions]

def read(archive, outputs):
    metadata = archive.getConfig().model.heads[0].metadata
    scores = decode(archive, dai.beta.node.RegressionParser, outputs, (48, 32))
    thresholds = metadata.extraParams["thresholds"]
    present = [name for name, score, least in zip(metadata.classes, scores, thresholds) if score >= np.float32(least)]
    return scores, present
"""


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "float16"])
def archive(request, tmp_path_factory):
    torch.manual_seed(1)
    model = MultiLabelModel("test_resnet", class_names=NAMES, input_size=SIZE).eval()
    model.chosen_thresholds = [0.5, 0.41, 0.6, 0.07, 0.45]
    folder = tmp_path_factory.mktemp("archive")
    described = ModelMetadata(
        "f" * 64,
        task="multilabel",
        class_names=tuple(NAMES),
        preprocessing=Preprocessing(SIZE),
        decoding=model.decoding(),
    )
    options = ExporterConfig(half_precision=request.param)
    onnx = folder / "model.onnx"
    export_onnx(
        model.for_export(), model.example_input_array, onnx, options, described, output_names=model.output_names
    )
    heads = model.archive_heads()
    return write_archive(onnx, folder / "model.tar", name="model", heads=heads, check_head=head_problems)


def test_depthai_gives_the_classes_that_cuelight_predicts(archive) -> None:
    model = OnnxModel.open(archive)
    generator = torch.Generator().manual_seed(0)
    images = [3 * torch.randn(1, 3, *SIZE, generator=generator) for _ in range(6)]
    outputs = [model(image) for image in images]
    assert {name for one in outputs for name in one} == {"probabilities"}
    jobs = [(archive, {"probabilities": one["probabilities"].tolist()}) for one in outputs]
    answers = read_with_depthai(READER, *jobs)
    for (scores, present), one in zip(answers, outputs, strict=True):
        (ours,) = TASKS["multilabel"].decode(one, model.metadata.class_names, model.metadata.decoding)
        np.testing.assert_array_equal(np.float32(scores), one["probabilities"][0].astype(np.float32))
        assert present == [label.name for label in sorted(ours.present, key=lambda label: label.index)]
    assert 0 < sum(len(present) for _, present in answers) < 6 * len(NAMES)
