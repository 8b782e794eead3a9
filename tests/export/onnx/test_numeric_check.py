"""The comparison of ONNX Runtime with PyTorch: it measures, and refuses what is not a number."""

import math

import pytest
import torch
from onnx import TensorProto, helper

from cuelight.errors import ExportError
from cuelight.export.onnx.numeric_check import Difference, compare


def graph(operator, shape=("batch", 2)):
    """A model of one operator from x to y."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    nodes = [helper.make_node(operator, ["x"], ["y"])]
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]), opset_imports=opset, ir_version=8)
    return model.SerializeToString()


X = torch.tensor([[1.0, -4.0]])


def test_difference_is_measured() -> None:
    found = compare(graph("Neg"), lambda x: (-x + torch.tensor([0.0, 0.5]),), [(X,), (torch.cat([X, 2 * X]),)])
    assert found == (Difference(1, "y", 0.5, 0.5 / 4.5), Difference(2, "y", 0.5, 0.5 / 8.5))


def test_zero_of_zero_is_no_difference() -> None:
    assert compare(graph("Neg"), lambda x: (-x,), [(0 * X,)]) == (Difference(1, "y", 0.0, 0.0),)


def test_something_instead_of_zeros_is_infinitely_far() -> None:
    assert compare(graph("Neg"), lambda x: (0 * x,), [(X,)])[0].relative == math.inf


def test_from_a_file(tmp_path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(graph("Neg"))
    assert compare(file, lambda x: (-x,), [(X,)])[0].absolute == 0


def test_nan_in_pytorch_already() -> None:
    with pytest.raises(ExportError, match="output y of the model contains NaN, already in PyTorch"):
        compare(graph("Sqrt"), lambda x: (x.sqrt(),), [(X,)])


def test_nan_in_onnx_runtime_only() -> None:
    with pytest.raises(ExportError, match="output y of the model contains NaN, only in ONNX Runtime"):
        compare(graph("Sqrt"), lambda x: (x,), [(X,)])


def test_infinite_in_onnx_runtime_only() -> None:
    with pytest.raises(ExportError, match="contains infinity, only in ONNX Runtime"):
        compare(graph("Reciprocal"), lambda x: (x,), [(0 * X,)])


def test_other_shape() -> None:
    with pytest.raises(ExportError, match=r"output y has the shape \(1, 2\) in ONNX Runtime and \(1, 1\) in PyTorch"):
        compare(graph("Neg"), lambda x: (x[:, :1],), [(X,)])


def test_batch_that_the_file_does_not_take() -> None:
    with pytest.raises(ExportError, match="cannot run the exported model with 2 images"):
        compare(graph("Neg", (1, 2)), lambda x: (-x,), [(torch.cat([X, X]),)])


def test_no_model_at_all() -> None:
    with pytest.raises(ExportError, match="cannot load the exported model"):
        compare(b"nonsense", lambda x: (x,), [(X,)])
