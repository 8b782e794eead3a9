"""Luxonis' own reader takes our archives, and decodes what PyTorch computes."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from cuelight.export.archive.nn_archive import archive_suffix, write_archive
from cuelight.images import tensors
from cuelight.prediction.onnx_model import OnnxModel
from support.depthai_reader import read_with_depthai
from support.onnx_files import CLASS_NAMES, HEADS, PREPROCESSING, SIZE, make_onnx, network, write_onnx

# Not imported here: depthai takes over the signals of its process.
pytestmark = pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")

COMPRESSIONS = ["none", "gz", "bz2", "xz"]

READER = """
def answer_of(result):
    return list(result.classes), [float(score) for score in result.scores]

def read(archive, logits):
    model = archive.getConfig().model
    told, output = model.inputs[0], model.outputs[0]
    answer = {
        "input": [told.name, told.dtype.name, list(told.shape), told.layout],
        "mean": told.preprocessing.mean, "scale": told.preprocessing.scale, "dai_type": told.preprocessing.daiType,
        "output": [output.name, output.dtype.name, list(output.shape)],
        "precision": model.metadata.precision.name, "name": model.metadata.name, "heads": len(model.heads or []),
    }
    if logits is not None:
        answer["classes"], answer["scores"] = decode(archive, dai.beta.node.ClassificationParser, logits, (48, 32))
    return answer
"""


CASES = [
    *(("RGB", {"dynamic": dynamic}, compression) for dynamic in (False, True) for compression in COMPRESSIONS),
    *((color, {"dynamic": dynamic}, "none") for color in ("BGR", "GRAY") for dynamic in (False, True)),
    *((color, {"inside": True}, "none") for color in ("RGB", "BGR", "GRAY")),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """For each case the logits of PyTorch, the answer of depthai, and its preprocessing."""
    jobs, expected = [], []
    for number, (color, options, compression) in enumerate(CASES):
        folder = tmp_path_factory.mktemp(f"case{number}")
        onnx_path = make_onnx(folder, color, **options)
        path = folder / f"model{archive_suffix(compression)}"
        write_archive(onnx_path, path, name=f"case {number}", heads=HEADS, compression=compression)
        shape, seeded = (1, PREPROCESSING[color].channels, *SIZE), torch.Generator().manual_seed(number)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded)
        prepared = tensors.normalize(PREPROCESSING[color], images)
        logits = OnnxModel.open(path)(images if options.get("inside") else prepared)["logits"]
        jobs.append((path, logits.tolist()))
        with torch.inference_mode():
            expected.append(network(len(prepared[0]))(prepared)[0])
    return list(zip(expected, read_with_depthai(READER, *jobs), strict=True))


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda index: str(CASES[index]))
def test_depthai_decodes_what_torch_computes(answers, index) -> None:
    logits, answer = answers[index]
    scores = logits.softmax(0)
    order = scores.argsort(descending=True)
    assert answer["classes"] == [CLASS_NAMES[index] for index in order]
    np.testing.assert_allclose(answer["scores"], scores[order], atol=1e-4)


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda index: str(CASES[index]))
def test_depthai_reads_what_was_told(answers, index) -> None:
    color, options, _ = CASES[index]
    preprocessing, inside, answer = PREPROCESSING[color], options.get("inside", False), answers[index][1]
    assert answer["name"] == f"case {index}"
    assert answer["input"] == ["images", "UINT8" if inside else "FLOAT32", [1, preprocessing.channels, *SIZE], "NCHW"]
    assert answer["output"] == ["logits", "FLOAT32", [1, len(CLASS_NAMES)]]
    assert answer["mean"] == pytest.approx([0 if inside else 255 * value for value in preprocessing.mean])
    assert answer["scale"] == pytest.approx([1 if inside else 255 * value for value in preprocessing.std])
    dai_types = {"RGB": "RGB888p", "BGR": "RGB888p" if inside else "BGR888p", "GRAY": "GRAY8"}
    assert answer["dai_type"] == dai_types[color]


def test_depthai_reads_archives_without_heads_and_preprocessing(tmp_path) -> None:
    bare = write_onnx(tmp_path / "bare.onnx", network(), torch.zeros(1, 3, *SIZE), None)
    [answer] = read_with_depthai(READER, (write_archive(bare, tmp_path / "bare.tar", name="bare", heads=None), None))
    assert (answer["heads"], answer["mean"], answer["dai_type"]) == (0, None, None)


def test_depthai_finds_a_model_of_any_name_in_any_locale(tmp_path) -> None:
    path = write_archive(make_onnx(tmp_path, name="modèle.onnx"), tmp_path / "a.tar", name="modèle", heads=HEADS)
    [answer] = read_with_depthai(READER, (path, None), LC_ALL="C")
    assert answer["name"] == "modèle"
