"""Trainings whose weights are in half or double precision are tested as trained, and exported in single precision."""

import onnx
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn import functional

from cuelight.callbacks.export_on_train_end import ExportOnTrainEnd
from cuelight.callbacks.test_on_train_end import TestOnTrainEnd
from cuelight.runs.run import Run
from cuelight.weights.fingerprint import fingerprint_of_file
from cuelight.weights.reading import load_checkpoint
from support.experiments import experiment, own_parts
from support.tiny import FEATURES, TinyData, TinyModel
from support.trainers import quiet_trainer

PRECISIONS = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
STEPS = [{"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}, {"name": "ArchiveOnTrainEnd"}]
OTHERS = [
    {"name": "EMACallback", "params": {"decay": 0.8, "decay_tau": 2}},
    {"name": "GradCamCallback", "params": {"target_layer": "network.0"}},
]


def weights_in(file):
    """The tensors of an ONNX file, largest first."""
    arrays = [onnx.numpy_helper.to_array(entry) for entry in onnx.load(file).graph.initializer]
    return sorted(arrays, key=lambda array: (-array.size, array.tobytes()))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_ships_at_its_end_what_the_commands_ship(digits, tmp_path, precision) -> None:
    own_parts()
    sgd = {"name": "SGD", "params": {"lr": 0.02}}  # the eps of Adam is 0 in half precision
    settings = {"epochs": 2, "scheduler": None, "precision": precision, "optimizer": sgd}
    run = Run.from_yaml(experiment(digits, callbacks=[*OTHERS, *STEPS], **settings))
    result = run.train(tmp_path)
    assert {outcome.step: outcome.status for outcome in result.outcomes} == dict.fromkeys(
        ("TestOnTrainEnd", "ExportOnTrainEnd", "ArchiveOnTrainEnd"), "ok"
    )
    assert all(torch.isfinite(torch.tensor(value)) for value in result.metrics.values())
    assert {outcome.weights_fingerprint for outcome in result.outcomes} == {fingerprint_of_file(result.best.path)}

    loaded = Run.load(run.directory)
    assert all(check.ok for check in loaded.verify())
    later = loaded.export(output=tmp_path / "later.onnx")
    at_the_end = weights_in(run.directory / "export" / "tiny.onnx")
    assert at_the_end[0].dtype == "float32"
    assert all((one == other).all() for one, other in zip(at_the_end, weights_in(later), strict=True))
    assert loaded.test().metrics == result.metrics


class WithExample(TinyModel):
    """Brings an example input in the precision of its training."""

    def __init__(self, dtype):
        super().__init__()
        self.example_input_array = torch.zeros(1, FEATURES, dtype=dtype)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)  # the eps of Adam is 0 in half precision


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("example", ["single", "own"])
def test_in_anyones_trainer(tmp_path, precision, example) -> None:
    dtype = PRECISIONS[precision]
    test, export = TestOnTrainEnd(), ExportOnTrainEnd()
    kept = ModelCheckpoint(tmp_path, "best", monitor="val/loss")
    torch.manual_seed(0)
    model = WithExample(dtype if example == "own" else torch.float32)
    quiet_trainer(tmp_path, [kept, test, export], precision=precision).fit(model, datamodule=TinyData())
    assert export.outcome.status == "ok", export.outcome.reason
    assert next(model.parameters()).dtype == dtype

    data, measured = TinyData(), WithExample(torch.float32).to(dtype).eval()
    measured.load_state_dict(load_checkpoint(tmp_path / "best.ckpt")["state_dict"])
    with torch.no_grad():
        losses = [
            functional.cross_entropy(measured(features.to(dtype)), labels).float()
            for features, labels in zip(data.features[:24].split(8), data.labels[:24].split(8), strict=True)
        ]
    found = test.outcome.details["metrics"]["test/loss"]
    assert found == pytest.approx(torch.stack(losses).mean().item(), rel=1e-6 if precision == "64-true" else 1e-2)
