"""Luxonis' own reader decodes the archives of segmentation models to the masks of PyTorch."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from cuelight.config.schema import ExporterConfig
from cuelight.export.archive.nn_archive import write_archive
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.segmentation.decode import decode_segmentation
from cuelight.tasks.segmentation.model import SegmentationModel
from support.depthai_reader import read_with_depthai

# Not imported here: depthai takes over the signals of its process.
pytestmark = pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")

NAMES = ["background", "ant", "bee", "Größe"]
SIZE = (32, 64)
PREPROCESSING = Preprocessing(size=SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))

READER = """
def answer_of(result):
    size = [result.getHeight(), result.getWidth()]
    return [list(result.getLabels()), size, np.array(result.getMaskData()).ravel().tolist()]

def read(archive, logits):
    return decode(archive, dai.node.SegmentationParser, logits, (64, 32))
"""


@pytest.fixture(scope="module")
def model():
    """A model whose logits are all below zero in many pixels."""
    torch.manual_seed(1)
    model = SegmentationModel(encoder="test_resnet", class_names=NAMES, input_size=SIZE).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(tensor, 0.5)
    bias = model.network.segmentation_head[0].bias
    with torch.no_grad():
        logits = model(torch.randn(1, 3, *SIZE))
        bias -= logits.amax(dim=(0, 2, 3)) - logits.std()
    return model


@pytest.mark.parametrize("options", [{}, {"dynamic_batch": True}, {"preprocessing": True}, {"half_precision": True}])
def test_depthai_decodes_the_masks_of_torch(tmp_path, model, options) -> None:
    description = ModelMetadata("f" * 64, task="segmentation", class_names=tuple(NAMES), preprocessing=PREPROCESSING)
    onnx = tmp_path / "model.onnx"
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    prepared = tensors.normalize(PREPROCESSING, images)
    export_onnx(
        model.for_export(), prepared[:1], onnx, ExporterConfig(**options), description, images=prepared,
        output_names=model.output_names,
    )  # fmt: skip
    archive = write_archive(onnx, tmp_path / "model.tar", name="model", heads=model.archive_heads())
    outputs = OnnxModel.open(archive)(images if options.get("preprocessing") else prepared)
    with torch.inference_mode():
        expected = decode_segmentation({"logits": model(prepared).numpy()}, NAMES)
    assert (model(prepared).amax(dim=1) < 0).float().mean() > 0.2  # pixels that depthai would leave without a class
    assert len(np.unique(expected[0].mask)) > 1
    shipped = decode_segmentation(outputs, NAMES)
    answers = read_with_depthai(READER, *((archive, logits.tolist()) for logits in outputs["logits"]))
    for (labels, size, mask), ours, theirs in zip(answers, shipped, expected, strict=True):
        assert labels == NAMES
        assert size == list(SIZE)
        np.testing.assert_array_equal(np.reshape(mask, SIZE), ours.mask)
        almost = 0.02 if options.get("half_precision") else 1e-3
        assert (ours.mask != theirs.mask).mean() <= almost
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=0.05 if options.get("half_precision") else 1e-3)
