"""An ONNX file or archive gives what PyTorch gives, whatever the number of images."""

import json
import os

import numpy as np
import onnx
import pytest
import torch

from cuelight.errors import ArchiveError, CuelightError
from cuelight.export.archive.nn_archive import write_archive
from cuelight.images import tensors
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.classification.decode import decode_classification, softmax
from support.onnx_files import (
    CLASS_NAMES,
    HEADS,
    PREPROCESSING,
    SIZE,
    describe,
    make_onnx,
    network,
    write_onnx,
)


def images_of(count, channels=3):
    return torch.randn(count, channels, *SIZE, generator=torch.Generator().manual_seed(count))


def logits_of(images):
    with torch.inference_mode():
        return network(images.shape[1])(images).numpy()


@pytest.mark.parametrize("options", [{}, {"dynamic": True}, {"batch": 4}], ids=["one", "free", "four"])
@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_any_number_of_images_gives_the_outputs_of_torch(tmp_path, options, count) -> None:
    model = OnnxModel.open(make_onnx(tmp_path, **options))
    images = images_of(count)
    outputs = model(images)
    assert list(outputs) == ["logits"]
    np.testing.assert_allclose(outputs["logits"], logits_of(images), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model(images.numpy())["logits"], outputs["logits"])


@pytest.mark.parametrize("compression", ["none", "gz", "bz2", "xz"])
def test_an_archive_gives_the_same_whatever_its_name(tmp_path, compression) -> None:
    path = make_onnx(tmp_path)
    write_archive(path, tmp_path / "archive", name="a", heads=HEADS, compression=compression)
    expected, model = OnnxModel.open(path), OnnxModel.open(str(tmp_path / "archive"))
    np.testing.assert_array_equal(model(images_of(2))["logits"], expected(images_of(2))["logits"])
    assert model.metadata == expected.metadata == describe()


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
def test_a_model_that_normalizes_by_itself(tmp_path, color) -> None:
    model = OnnxModel.open(make_onnx(tmp_path, color, inside=True))
    preprocessing = PREPROCESSING[color]
    images = torch.randint(0, 256, (3, preprocessing.channels, *SIZE), dtype=torch.uint8)
    expected = logits_of(tensors.normalize(preprocessing, images))
    np.testing.assert_allclose(model(images)["logits"], expected, rtol=1e-4, atol=1e-3)


def test_what_a_model_tells(tmp_path) -> None:
    model = OnnxModel.open(make_onnx(tmp_path, "GRAY", dynamic=True))
    assert (model.input_name, model.input_shape, model.input_dtype) == ("images", (None, 1, *SIZE), np.float32)
    assert model.metadata.preprocessing == PREPROCESSING["GRAY"]
    assert model.metadata.class_names == CLASS_NAMES


def test_a_file_of_somebody_else_has_no_description(tmp_path) -> None:
    path = write_onnx(tmp_path / "other.onnx", network(), torch.zeros(1, 3, *SIZE), None)
    assert OnnxModel.open(path).metadata is None


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 48, 32),
        torch.zeros(1, 1, *SIZE),
        torch.zeros(3, *SIZE),
        torch.zeros(0, 3, *SIZE),
        torch.zeros(1, 3, *SIZE, dtype=torch.uint8),
    ],
    ids=["size", "channels", "no batch", "empty", "bytes"],
)
def test_images_that_do_not_fit_are_named(tmp_path, images) -> None:
    model = OnnxModel.open(make_onnx(tmp_path))
    with pytest.raises(CuelightError, match=r"model\.onnx: the model takes float32 of \(images, 3, 32, 48\); got"):
        model(images)


def test_files_that_are_no_models(tmp_path) -> None:
    content = make_onnx(tmp_path).read_bytes()
    cases = {"empty.onnx": b"", "half.onnx": content[:3000], "text.onnx": b"hello" * 99, "half.tar": content}
    for name, broken in cases.items():
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(CuelightError, match=name) as raised:
            OnnxModel.open(tmp_path / name)
        assert isinstance(raised.value, ArchiveError) == name.endswith(".tar")
    with pytest.raises(CuelightError, match=r"missing\.onnx: there is no such file"):
        OnnxModel.open(tmp_path / "missing.onnx")


def test_a_model_with_two_inputs_is_refused(tmp_path) -> None:
    names = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "abc"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["a", "b"], ["c"])], "sum", names[:2], names[2:])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "sum.onnx")
    with pytest.raises(CuelightError, match="expected a model with one input"):
        OnnxModel.open(tmp_path / "sum.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_names", "[1"),
        ("class_names", "[1, 2]"),
        ("class_names", "[" * 100_000),
        ("class_names", json.dumps(["a" * 10**6])),
        ("preprocessing", '{"size": [32, 48], "mean": ["x"]}'),
        ("preprocessing", '{"size": [1000000, 1000000]}'),
        ("preprocessing", "[" * 100_000),
        ("preprocessing_inside", "[" * 100_000),
    ],
)
def test_a_damaged_description_is_named(tmp_path, key, value) -> None:
    path = make_onnx(tmp_path)
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == key).value = value
    onnx.save(model, path)
    with pytest.raises(CuelightError, match=r"model\.onnx: its metadata is damaged"):
        OnnxModel.open(path)


def test_a_description_of_images_of_another_size_is_refused(tmp_path) -> None:
    path = write_onnx(tmp_path / "a.onnx", network(), torch.zeros(1, 3, 16, 16), describe())
    with pytest.raises(CuelightError, match=r"describes images of \(3, 32, 48\), but its input is \(1, 3, 16, 16\)"):
        OnnxModel.open(path)


def test_a_file_whose_name_is_no_text(tmp_path) -> None:
    path = make_onnx(tmp_path).rename(tmp_path / os.fsdecode(b"m\xff.onnx"))
    assert OnnxModel.open(path).metadata == describe()


def test_a_huge_batch_is_refused(tmp_path) -> None:
    shapes = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [10**6, 3, 32, 32]) for name in "ab"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["a"], ["b"])], "g", shapes[:1], shapes[1:])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(CuelightError, match="is too large for images"):
        OnnxModel.open(tmp_path / "a.onnx")


# What the outputs mean.


def test_softmax_is_that_of_torch_and_does_not_overflow() -> None:
    logits = np.array([[1e4, 0, -1e4], [0.1, 0.2, 0.3]], dtype=np.float32)
    np.testing.assert_allclose(softmax(logits), torch.from_numpy(logits).softmax(1).numpy(), rtol=1e-6)


def test_the_likeliest_classes_come_first() -> None:
    [result] = decode_classification({"logits": np.log([[0.1, 0.4, 0.2, 0.3]])}, ["a", "b"])
    assert [(entry.index, entry.name) for entry in result.top] == [(1, "b"), (3, "3"), (2, "2")]
    row = {"class": "b", "score": 0.4, "class_2": "3", "score_2": 0.3, "class_3": "2", "score_3": 0.2}
    assert result.row() == row
    assert result.details()["top"][1] == {"class": "3", "index": 3, "score": pytest.approx(0.3)}


def test_of_equal_classes_the_first_counts() -> None:
    [result] = decode_classification({"logits": np.tile([0.0, 1.0, 1.0, 1.0], 100)[None]})
    assert [entry.index for entry in result.top] == [1, 2, 3]
    [result] = decode_classification({"logits": np.zeros((1, 2))})
    assert [entry.index for entry in result.top] == [0, 1]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"a": np.zeros((1, 2)), "b": np.zeros((1, 2))}, r"expected logits \(images, classes\); got a \[1, 2\], b"),
        ({"logits": np.zeros((1, 2, 3))}, r"got logits \[1, 2, 3\]"),
        ({"logits": np.array([[1.0, np.nan]])}, "NaN or infinity"),
        ({"logits": np.array([[1.0, np.inf]])}, "NaN or infinity"),
    ],
)
def test_outputs_that_are_no_classes(outputs, message) -> None:
    with pytest.raises(CuelightError, match=message):
        decode_classification(outputs)
