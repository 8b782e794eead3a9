"""Export to ONNX: both exporters, every option, and whatever can go wrong."""

import errno
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import lightning.pytorch as pl
import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from torch import nn

from cuelight.config.schema import ExporterConfig
from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx import graph_building
from cuelight.export.onnx.export import export_onnx
from cuelight.export.onnx.graph import OnnxGraph
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing

DESCRIPTION = ModelMetadata(
    "f00d", "best.ckpt", "classification", ("cat", "dög"), Preprocessing((32, 32), (0.5,) * 3, (0.2, 0.3, 0.4))
)


def randomized(model):
    """timm starts with normalizations that do nothing: all exports of those agree."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.3)
    return model.eval()


DYNAMO_SLOWLY = pytest.param(18, marks=pytest.mark.slow)


class Small(nn.Module):
    """One convolution with normalization, large enough for its weight to lie outside the graph."""

    def __init__(self, channels=3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 256, 3, bias=False)
        self.norm = nn.BatchNorm2d(256)
        self.head = nn.Linear(256, 5)
        randomized(self)

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).relu().mean((2, 3)))


class Scaled(Small):
    """A model whose output depends strongly on the order and the scale of the channels."""

    def forward(self, images):
        weights = torch.arange(1.0, images.shape[1] + 1).view(-1, 1, 1)
        return (images * weights).sum((1, 2, 3)).unsqueeze(1)


class Named(nn.Module):
    def forward(self, left, right):
        return {"sum": left + right, "parts": [left * 2, right]}


class Branching(nn.Module):
    """Refused by dynamo only: which way it goes depends on the data."""

    def forward(self, x):
        return x * 2 if bool(x.sum() > -1e9) else x


class Unknown(nn.Module):
    """Refused by TorchScript only: it knows no matrix exponential of a square."""

    def forward(self, x):
        return torch.fft.rfft(x).abs()


class Impossible(nn.Module):
    """Refused by both."""

    def forward(self, x):
        return torch.linalg.svdvals(x) if bool(x.sum() > -1e9) else x


def export(model, path, example=None, description=DESCRIPTION, images=None, output_names=None, **options):
    if example is None:
        example = torch.randn(2, 3, 32, 32)
    stages = []
    config = ExporterConfig(**options)
    exported = export_onnx(
        model, example, path, config, description, images=images, output_names=output_names, report=stages.append
    )
    return exported, onnx.load(path), stages


def shapes(values):
    return {
        value.name: tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim)
        for value in values
    }


def run(path, **inputs):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "model.onnx"


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("opset", "exporter"), [(13, "torchscript"), (17, "torchscript"), (18, "dynamo")])
def test_one_checked_file(path, opset, exporter, dynamic) -> None:
    model = Small()
    exported, proto, stages = export(model, path, opset=opset, dynamic_batch=dynamic, images=torch.randn(1, 3, 32, 32))
    assert (exported.exporter, exported.opset, exported.simplified, exported.notes) == (exporter, opset, True, ())
    assert [entry.version for entry in proto.opset_import if not entry.domain] == [opset]
    batch = "batch" if dynamic else 1
    assert shapes(proto.graph.input) == {"images": (batch, 3, 32, 32)}
    assert shapes(proto.graph.output) == {"output": (batch, 5)}
    assert [entry.batch_size for entry in exported.differences] == ([1, 2] if dynamic else [1])
    assert 0 < max(entry.relative for entry in exported.differences) < 1e-5
    images = torch.randn(3 if dynamic else 1, 3, 32, 32)
    np.testing.assert_allclose(run(path, images=images.numpy())[0], model(images).detach(), atol=1e-5)
    assert names(path.parent) == ["model.onnx"]
    exporting = "exporting with " + ("dynamo" if exporter == "dynamo" else "TorchScript")
    assert stages == [exporting, "simplifying", "checking with ONNX Runtime"]
    assert not any(node.op_type == "BatchNormalization" for node in proto.graph.node)


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize(
    ("name", "size"), [("resnet10t", 32), ("mobilenetv3_small_050", 32), ("test_vit", 160), ("convnext_atto", 32)]
)
@pytest.mark.slow
def test_networks_of_timm(path, name, size, opset, simplify) -> None:
    model = randomized(timm.create_model(name, num_classes=7))
    exported, _, _ = export(
        model, path, torch.randn(1, 3, size, size), opset=opset, dynamic_batch=True, simplify=simplify
    )
    assert max(entry.relative for entry in exported.differences) < 1e-5
    assert exported.simplified is simplify
    assert exported.notes == ("checked on random input, because there were no images",)


def test_network_of_timm(path) -> None:
    model = randomized(timm.create_model("mobilenetv3_small_050", num_classes=7))
    exported, _, _ = export(model, path, torch.randn(1, 3, 32, 32), dynamic_batch=True)
    assert max(entry.relative for entry in exported.differences) < 1e-5


def test_weights_are_those_of_now(path) -> None:
    """A file of another model is noticed by the check: the reference is the model itself."""
    first, second = Small(), Small()
    nn.init.normal_(second.conv.weight)
    export(first, path)
    images = torch.randn(1, 3, 32, 32)
    np.testing.assert_allclose(run(path, images=images.numpy())[0], first(images).detach(), atol=1e-5)
    export(second, path)
    np.testing.assert_allclose(run(path, images=images.numpy())[0], second(images).detach(), atol=1e-4)


def test_opset_that_no_exporter_writes(path) -> None:
    with pytest.raises(ExportError, match="expected opset 12, the exporter wrote 18") as error:
        export(Unknown(), path, torch.randn(1, 8), opset=12)
    assert "torchscript: Exporting the operator" in str(error.value)
    assert not list(path.parent.glob("*"))


def test_other_exporter_where_dynamo_refuses(path) -> None:
    exported, _, stages = export(Branching(), path, torch.randn(1, 8), opset=18)
    assert exported.exporter == "torchscript"
    assert exported.notes[0].startswith("exported with torchscript, because the other exporter failed: dyn")
    assert "\x1b" not in exported.notes[0]
    assert stages[:2] == ["exporting with dynamo", "exporting with TorchScript"]


def test_other_exporter_where_torchscript_refuses(path, monkeypatch) -> None:
    monkeypatch.setattr(graph_building, "_FLOOR_OF_DYNAMO", 19)
    exported, _, _ = export(Unknown(), path, torch.randn(1, 8), opset=18)
    assert exported.exporter == "dynamo"
    assert "torchscript: Exporting the operator 'aten::fft_rfft'" in exported.notes[0]


@pytest.mark.parametrize("opset", [17, 18])
def test_error_where_both_exporters_refuse(path, opset) -> None:
    with pytest.raises(ExportError, match=rf"cannot be exported with opset {opset}\. .*dynamo: .*") as error:
        export(Impossible(), path, torch.randn(1, 4, 4), opset=opset)
    assert "torchscript: Exporting the operator 'aten::linalg_svd" in str(error.value)
    assert not list(path.parent.glob("*"))


class Broken(nn.Module):
    def forward(self, x):
        return {"logits": (x - 1e9).log()}


def test_nan_of_the_model_is_an_error(path) -> None:
    with pytest.raises(ExportError, match="output logits of the model contains NaN, already in PyTorch"):
        export(Broken(), path, torch.randn(1, 8))
    assert names(path.parent) == ["model.rejected.onnx"]


def test_export_above_tolerance_is_rejected_and_kept(path) -> None:
    path.parent.mkdir()
    path.write_text("older")
    with pytest.raises(
        ExportError, match=r"output output, with a batch of \d, by .* at most 1e-12 is allowed"
    ) as error:
        export(Small(), path, tolerance=1e-12)
    rejected = path.with_name("model.rejected.onnx")
    assert f"kept as {rejected}" in str(error.value)
    assert path.read_text() == "older"
    onnx.checker.check_model(rejected, full_check=True)
    assert names(path.parent) == ["model.onnx", "model.rejected.onnx"]
    export(Small(), path)
    assert names(path.parent) == ["model.onnx"]


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("opset", [17, DYNAMO_SLOWLY])
def test_half_precision(path, opset, simplify) -> None:
    exported, proto, _ = export(Small(), path, half_precision=True, opset=opset, simplify=simplify)
    onnx.checker.check_model(path, full_check=True)
    assert {value.type.tensor_type.elem_type for value in [*proto.graph.input, *proto.graph.output]} == {
        onnx.TensorProto.FLOAT
    }
    types = {tensor.data_type for tensor in proto.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types
    assert onnx.TensorProto.FLOAT not in types
    assert 1e-5 < exported.differences[0].relative < 0.02


@pytest.mark.parametrize("opset", [17, DYNAMO_SLOWLY])
@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
def test_preprocessing_inside(path, color, opset) -> None:
    channels = 1 if color == "GRAY" else 3
    mean, std = ((0.5,), (0.25,)) if color == "GRAY" else ((0.1, 0.5, 0.8), (0.2, 0.3, 0.4))
    preprocessing = Preprocessing((16, 16), mean, std, color)
    model = Scaled(channels)
    pixels = torch.randint(0, 256, (2, channels, 16, 16), dtype=torch.uint8)
    seen = tensors.normalize(preprocessing, pixels)
    exported, proto, _ = export(
        model, path, seen, replace(DESCRIPTION, preprocessing=preprocessing), seen,
        preprocessing=True, dynamic_batch=True, opset=opset,
    )  # fmt: skip
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    np.testing.assert_allclose(run(path, images=pixels.numpy())[0], model(seen).detach(), rtol=1e-4)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert ModelMetadata.from_metadata(metadata).preprocessing_inside
    assert exported.notes == ()


def test_all_options_through_dynamo(path) -> None:
    options = {"preprocessing": True, "half_precision": True, "dynamic_batch": True, "opset": 18}
    exported, proto, _ = export(Small(), path, **options)
    assert exported.exporter == "dynamo"
    assert shapes(proto.graph.input) == {"images": ("batch", 3, 32, 32)}
    assert proto.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_check_sees_the_pixels_of_the_images(path, monkeypatch) -> None:
    import cuelight.export.onnx.export as module

    given = []
    compare = module.compare
    monkeypatch.setattr(module, "compare", lambda file, reference, batches: given.extend(batches) or compare(
        file, reference, batches
    ))  # fmt: skip
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    images = tensors.normalize(DESCRIPTION.preprocessing, pixels)
    export(Small(), path, images=images, preprocessing=True, dynamic_batch=True)
    export(Small(), path, images=images)
    assert [len(batch[0]) for batch in given] == [1, 2, 1]
    assert torch.equal(given[1][0], torch.cat([pixels, pixels]))
    assert torch.equal(given[2][0], images)


def test_preprocessing_that_nobody_knows(path) -> None:
    with pytest.raises(ExportError, match="needs the normalization of the images"):
        export(Small(), path, description=ModelMetadata("f"), preprocessing=True)


@pytest.mark.parametrize("opset", [17, DYNAMO_SLOWLY])
def test_two_inputs_and_nested_outputs(path, opset) -> None:
    left, right = torch.randn(1, 4), torch.randn(1, 4)
    exported, proto, _ = export(Named(), path, {"right": right, "left": left}, dynamic_batch=True, opset=opset)
    assert exported.input_names == ("right", "left")
    assert exported.output_names == ("sum", "parts_0", "parts_1")
    assert exported.notes == ()
    assert set(shapes([*proto.graph.input, *proto.graph.output]).values()) == {("batch", 4)}
    one, two = np.ones((3, 4), np.float32), np.full((3, 4), 2, np.float32)
    assert [array.flat[0] for array in run(path, left=one, right=two)] == [3, 2, 2]


def test_inputs_by_position(path) -> None:
    exported, _, _ = export(Named(), path, (torch.randn(1, 4), torch.randn(1, 4)), output_names=["a", "b", "c"])
    assert (exported.input_names, exported.output_names) == (("left", "right"), ("a", "b", "c"))
    one, two = np.ones((1, 4), np.float32), np.full((1, 4), 2, np.float32)
    assert [array.flat[0] for array in run(path, left=one, right=two)] == [3, 2, 2]


def test_too_few_output_names(path) -> None:
    exported, _, _ = export(Named(), path, (torch.randn(1, 4), torch.randn(1, 4)), output_names=["a"])
    assert exported.output_names == ("sum", "parts_0", "parts_1")
    assert "1 names were given for 3 outputs" in exported.notes[0]


@pytest.mark.parametrize("given", [["a", "a", "b"], ["left", "a", "b"]])
def test_name_given_twice(path, given) -> None:
    with pytest.raises(ExportError, match="have the same name"):
        export(Named(), path, (torch.randn(1, 4), torch.randn(1, 4)), output_names=given)


class Lit(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = Small()

    def forward(self, images):
        return self.network(images)


@pytest.mark.parametrize("opset", [17, 18])
def test_model_is_left_as_it_was(path, opset) -> None:
    model = Lit()
    model.train()
    model.network.norm.eval()
    model.network.conv.weight.requires_grad_(False)
    seen = []
    hook = model.network.register_forward_hook(lambda *_: seen.append(1))
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    modes = [module.training for module in model.modules()]
    values = {name: value.clone() for name, value in model.state_dict().items()}
    grads = [None if value.grad is None else value.grad.clone() for value in model.parameters()]
    hooks = {name: len(module._forward_hooks) for name, module in model.named_modules()}
    export(model, path, opset=opset)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())
    for value, grad in zip(model.parameters(), grads, strict=True):
        assert (value.grad is None) if grad is None else torch.equal(value.grad, grad)
    assert [value.requires_grad for value in model.network.parameters()] == [False, True, True, True, True]
    assert {name: len(module._forward_hooks) for name, module in model.named_modules()} == hooks
    hook.remove()
    assert torch.is_grad_enabled()


def test_mode_comes_back_after_a_failure(path) -> None:
    model = Unknown().train()
    with pytest.raises(ExportError):
        export(model, path, torch.randn(1, 8), opset=12)
    assert model.training


def test_train_mode_is_not_exported(path) -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.Flatten()).train()
    export(model, path, torch.randn(1, 4, 4))
    ones = np.ones((1, 4, 4), np.float32)
    assert (run(path, input=ones)[0] == 1).all()


def test_metadata(path) -> None:
    exported, proto, _ = export(Small(), path, opset=17)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert ModelMetadata.from_metadata(metadata) == DESCRIPTION
    assert metadata["exporter"] == "torchscript"
    assert metadata["opset"] == "17"
    assert ExporterConfig(**json.loads(metadata["export_options"])) == ExporterConfig(opset=17)
    plain = exported.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["path"] == str(path)
    assert plain["differences"][0]["output"] == "output"


@pytest.mark.parametrize("opset", [17, 18])
def test_nothing_is_printed(path, opset, capfd, caplog, recwarn, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxslim")}
    for model, example in [(Small(), None), (Unknown(), torch.randn(1, 8)), (Impossible(), torch.randn(1, 4, 4))]:
        with suppress(ExportError):
            export(model, path, example, opset=opset)
    assert capfd.readouterr() == ("", "")
    assert [record.getMessage() for record in caplog.records] == []
    assert [str(warning.message) for warning in recwarn] == []
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert names(tmp_path) == ["out"]


def test_not_simplified(path, monkeypatch) -> None:
    def broken(*_, **__):
        raise RuntimeError("no idea\nwhat to do")

    monkeypatch.setattr("onnxslim.slim", broken)
    exported, _, _ = export(Small(), path, images=torch.randn(2, 3, 32, 32))
    assert not exported.simplified
    assert exported.notes == ("not simplified: no idea",)


def test_simplified_into_something_else(path, monkeypatch) -> None:
    def renaming(proto, **_):
        proto.graph.output[0].name = proto.graph.node[-1].output[0] = "renamed"
        return proto

    monkeypatch.setattr("onnxslim.slim", renaming)
    exported, proto, _ = export(Small(), path)
    assert not exported.simplified
    assert "changed the inputs and outputs" in exported.notes[0]
    assert proto.graph.output[0].name == "output"


def test_example_that_does_not_run(path) -> None:
    with pytest.raises(ExportError, match=r"does not run on its example with 1 images of \(4, 32, 32\)"):
        export(Small(), path, torch.randn(1, 4, 32, 32))


class OnlyOne(nn.Module):
    def forward(self, x):
        return x.view(1, -1)[:, :4].view(1, 4) if len(x) == 1 else x.view(1, 4)


def test_batch_that_is_not_free(path) -> None:
    export(OnlyOne(), path, torch.randn(2, 8))
    with pytest.raises(ExportError, match=r"with 2 images .*leave `exporter.dynamic_batch` out"):
        export(OnlyOne(), path, torch.randn(2, 8), dynamic_batch=True)


def test_output_that_is_no_tensor(path) -> None:
    class Odd(nn.Module):
        def forward(self, x):
            return {"logits": x, "epoch": 3}

    with pytest.raises(ExportError, match="returns int as epoch"):
        export(Odd(), path, torch.randn(1, 8))


def test_images_of_another_size(path) -> None:
    with pytest.raises(ExportError, match=r"images for the check have the shape \(3, 16, 16\)"):
        export(Small(), path, images=torch.randn(1, 3, 16, 16))


def test_too_large_for_the_format(tmp_path) -> None:
    huge = np.broadcast_to(np.float32(0), (30_000, 30_000))
    graph = OnnxGraph(onnx.ModelProto(), {"weight": huge})
    with (tmp_path / "m").open("wb") as file, pytest.raises(ExportError, match=r"takes 3\.60 GB"):
        graph.write(file)
    assert (tmp_path / "m").stat().st_size == 0


def test_full_disk(path, monkeypatch) -> None:
    path.parent.mkdir()
    path.write_text("older")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(OnnxGraph, "write", full)
    with pytest.raises(ExportError, match=r"model\.onnx: .*could not be written: No space left on device"):
        export(Small(), path)
    assert names(path.parent) == ["model.onnx"]
    assert path.read_text() == "older"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_really_full_disk(tmp_path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", disk]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount")
    try:
        with pytest.raises(ExportError, match="could not be written: No space left on device"):
            export(Small(), disk / "model.onnx")
        assert names(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


MEASURE = """
import gc, sys, timm, torch
from pathlib import Path
from cuelight.config.schema import ExporterConfig
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx

def status(key):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(key))

options = ExporterConfig(opset=int(sys.argv[1]), simplify=sys.argv[2] == "True")
path, image = Path(sys.argv[3]), torch.randn(1, 3, 224, 224)
export_onnx(timm.create_model("resnet10t").eval(), image, path, options, ModelMetadata("warm"))
model = timm.create_model("resnet50").eval()
with torch.no_grad():
    model(image)
gc.collect()
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
export_onnx(model, image, path, options, ModelMetadata("measured"))
weights = sum(value.numel() * value.element_size() for value in model.state_dict().values()) / 2**20
print((status("VmHWM") - before) / weights)
"""


@pytest.mark.slow
@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("opset", [17, 18])
def test_export_needs_at_most_twice_the_memory_of_the_weights(tmp_path, opset, simplify) -> None:
    """At its peak the export takes at most twice the weights on top of the model."""
    command = [sys.executable, "-c", MEASURE, str(opset), str(simplify), tmp_path / "m.onnx"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )

    assert float(done.stdout) < 2


class Shared(nn.Module):
    """Two convolutions that share a weight, each with a normalization of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(256, 32, 1)
        self.first, self.second = nn.BatchNorm2d(32), nn.BatchNorm2d(32)
        randomized(self)

    def forward(self, x):
        return self.first(self.conv(x)) + self.second(self.conv(x * 2))


class Tied(nn.Module):
    """A weight that is read as it is and transposed, and one normalization that another operator looks behind."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(96, 96) / 10)
        self.conv, self.norm = nn.Conv2d(3, 64, 9), nn.BatchNorm2d(64)
        self.wide = nn.Linear(96, 96)
        randomized(self)

    def forward(self, images):
        before = self.conv(images)
        after = self.norm(before) + before
        rows = after.flatten(2)[:, :, :96]
        return {"rows": self.wide(rows @ self.table) @ self.table.T, "before": before}


@pytest.mark.parametrize("opset", [17, DYNAMO_SLOWLY])
@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize(("model", "channels"), [(Shared, 256), (Tied, 3)])
def test_shared_weights(path, model, channels, simplify, opset) -> None:
    exported, _, _ = export(model(), path, torch.randn(1, channels, 20, 20), opset=opset, simplify=simplify)
    assert max(entry.relative for entry in exported.differences) < 1e-5


def test_interrupted_check_leaves_nothing(path, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cuelight.export.onnx.export.compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(Small(), path)
    assert names(path.parent) == []
