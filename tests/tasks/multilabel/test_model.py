"""The model of labels in real trainings."""

import math

import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.ops import sigmoid_focal_loss

from cuelight.config.schema import Part
from cuelight.errors import CheckpointError, ConfigError
from cuelight.tasks.multilabel.model import MultiLabelModel
from cuelight.training.optimization import Optimization
from cuelight.utils.files import without_nan
from support.trainers import quiet_trainer

NAMES = ["left", "top", "right"]
SMALL = {"backbone": "test_resnet", "in_channels": 1, "class_names": NAMES, "input_size": (16, 16)}


def images_and_labels(count, seed=0, unknown=0.0):
    """Noise, which is brighter on the sides that the labels name; every eighth image has none."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([[number >> place & 1 for place in range(3)] for number in range(count)]).float()
    images = 0.3 * torch.randn(count, 1, 16, 16, generator=generator)
    for place, side in enumerate((images[:, :, :, :6], images[:, :, :6], images[:, :, :, 10:])):
        side.add_(2 * labels[:, place, None, None, None])
    labels[torch.rand(count, 3, generator=generator) < unknown] = -1
    return images, labels


def loader(count=24, batch_size=8, seed=0, unknown=0.0):
    return DataLoader(TensorDataset(*images_and_labels(count, seed, unknown)), batch_size)


def build(**changes):
    torch.manual_seed(0)
    return MultiLabelModel(**SMALL | changes)


@pytest.fixture(scope="module")
def trained():
    model = build(optimization=Optimization(Part(name="AdamW", params={"lr": 0.01})))
    run = quiet_trainer(max_epochs=2)
    run.fit(model, loader(64, unknown=0.2), loader(48, seed=1))
    return model, {name: value.item() for name, value in run.callback_metrics.items()}, run


@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_learns_what_can_be_learnt(loss) -> None:
    model = build(loss=loss, optimization=Optimization(Part(name="AdamW", params={"lr": 0.01})))
    run = quiet_trainer(max_epochs=8)
    run.fit(model, loader(64), loader(48, seed=1))
    assert run.callback_metrics["val/map"] > 0.9
    assert run.callback_metrics["val/f1"] > 0.9
    assert set(run.callback_metrics) == set(MultiLabelModel.logged_metrics)


@pytest.mark.parametrize(
    ("loss", "of_labels"), [("bce", functional.binary_cross_entropy_with_logits), ("focal", sigmoid_focal_loss)]
)
def test_the_loss_is_the_mean_over_known_labels(loss, of_labels) -> None:
    model = build(loss=loss).eval()
    images, labels = images_and_labels(22, unknown=0.4)
    (logged,) = quiet_trainer().validate(model, DataLoader(TensorDataset(images, labels), 8), verbose=False)
    with torch.no_grad():
        losses = of_labels(model(images), labels, reduction="none")
    assert logged["val/loss"] == pytest.approx(float(losses[labels >= 0].mean()), rel=1e-5)


def test_unknown_labels_have_no_gradient() -> None:
    images, labels = images_and_labels(8)
    labels[:, 1] = -1
    model = build()
    model.update_loss(model.train_loss, model(images), labels, training=True).backward()
    last = [parameter for name, parameter in model.named_parameters() if name.endswith("fc.weight")][-1]
    assert last.grad[1].abs().sum() == 0
    assert last.grad[0].abs().sum() > 0


@pytest.mark.parametrize("batch_size", [1, 5, 48])
def test_a_validation_does_not_depend_on_the_batch_size(trained, batch_size) -> None:
    model, *_ = trained
    [one] = quiet_trainer().validate(model, loader(48, 8, seed=2, unknown=0.2), verbose=False)
    [other] = quiet_trainer().validate(model, loader(48, batch_size, seed=2, unknown=0.2), verbose=False)
    assert other == pytest.approx(one, rel=1e-4)


def test_the_thresholds_of_the_validation_are_kept_in_checkpoint_and_export(trained, tmp_path) -> None:
    model, _, run = trained
    assert 0.5 not in model.thresholds
    run.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert all(key.startswith("backbone.") for key in checkpoint["state_dict"])
    loaded = build()
    loaded.on_load_checkpoint(checkpoint)
    assert loaded.thresholds == model.thresholds
    assert loaded.decoding() == {"thresholds": model.thresholds}
    assert loaded.archive_heads()[0]["metadata"]["thresholds"] == model.thresholds
    given = build(threshold=0.125)
    given.on_load_checkpoint(checkpoint)
    assert given.thresholds == [0.125] * 3


@pytest.mark.parametrize("damaged", ["abc", None, 3, [0.5], [0.5, 0.5, "x"], [0.5, 0.5, math.nan], [0.5, 0.5, 1.5]])
def test_damaged_thresholds_of_a_checkpoint_are_named(damaged) -> None:
    with pytest.raises(CheckpointError, match="thresholds in the checkpoint: expected 3 numbers from 0 to 1, got"):
        build().on_load_checkpoint({"thresholds": damaged})


def test_a_test_measures_at_the_thresholds_of_the_model(trained) -> None:
    model, *_ = trained
    kept, model.chosen_thresholds = model.chosen_thresholds, [0.999] * 3
    [high] = quiet_trainer().test(model, loader(48, seed=2), verbose=False)
    assert model.result_tables()["thresholds"][1:] == [[name, 0.999] for name in NAMES]
    model.chosen_thresholds = kept
    [low] = quiet_trainer().test(model, loader(48, seed=2), verbose=False)
    assert set(low) == {"test/loss", "test/map", "test/f1"}
    assert high["test/map"] == low["test/map"]
    assert high["test/f1"] < low["test/f1"]
    assert model.chosen_thresholds == kept


def test_results_have_a_row_for_each_class() -> None:
    model = build(class_names=[*NAMES, "nowhere"])
    assert model.result_tables() == {}
    images, labels = images_and_labels(16)
    data = DataLoader(TensorDataset(images, torch.cat([labels, torch.zeros(16, 1)], 1)), 8)
    quiet_trainer().test(model, data, verbose=False)
    tables = without_nan(model.result_tables())
    assert list(tables) == ["class_ap", "class_f1", "thresholds"]
    assert [row[0] for row in tables["class_ap"]] == ["class", *NAMES, "nowhere"]
    assert tables["class_ap"][-1] == ["nowhere", None]
    assert tables["thresholds"][1:] == [[name, 0.5] for name in [*NAMES, "nowhere"]]


def without_known_labels_first():
    images, labels = images_and_labels(16)
    labels[:8] = -1
    return DataLoader(TensorDataset(images, labels), 8)


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_batches_without_a_known_label_end_nothing(precision) -> None:
    run = quiet_trainer(precision=precision)
    run.fit(build(), without_known_labels_first(), without_known_labels_first())
    assert all(math.isfinite(run.callback_metrics[name]) for name in ("train/loss", "val/loss", "val/map"))


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_half_precision_measures_the_same(precision) -> None:
    (one,), (other,) = (
        quiet_trainer(precision=used).validate(build(), without_known_labels_first(), verbose=False)
        for used in ("32-true", precision)
    )
    assert other == pytest.approx(one, abs=0.02)


def test_a_loss_that_is_no_number_shows() -> None:
    model = build()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    (logged,) = quiet_trainer().validate(model, loader(), verbose=False)
    assert math.isnan(logged["val/loss"])
    assert math.isnan(logged["val/map"])


def test_one_class_is_enough() -> None:
    model = build(class_names=["left"])
    images, labels = images_and_labels(16)
    run = quiet_trainer()
    data = DataLoader(TensorDataset(images, labels[:, :1]), 8)
    run.fit(model, data, data)
    assert math.isfinite(run.callback_metrics["val/map"])
    assert model.for_export().eval()(images).shape == (16, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": []}, "needs at least 1 class"),
        ({"num_classes": 2}, "the data has 3 classes, but num_classes is 2"),
        ({"num_classes": 5}, "the data has labels of 3 classes, but num_classes is 5"),
    ],
)
def test_impossible_class_counts_are_refused(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**changes)


def test_the_exported_model_gives_probabilities(trained) -> None:
    model, *_ = trained
    images, _ = images_and_labels(4)
    with torch.no_grad():
        outputs = model.for_export().eval()(images)
        assert torch.equal(outputs, model.exported(model.eval()(images)))
    assert 0 <= outputs.min() < 0.5 < outputs.max() <= 1
