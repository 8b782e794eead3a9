import logging
import math

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from cuelight.config.schema import Part, SchedulerPart
from cuelight.data.base.label_data_module import LabelDataModule
from cuelight.data.datasets.digits import DigitImages
from cuelight.errors import CheckpointError, ConfigError
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.classification.model import ClassificationModel
from cuelight.training.optimization import Optimization
from support.trainers import quiet_trainer

NAMES = ["cat", "dog", "bird"]
SMALL = {"backbone": "test_resnet", "num_classes": 3, "in_channels": 1, "input_size": (16, 16)}


def images_and_labels(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    return torch.randn(count, 1, 16, 16, generator=generator) + labels[:, None, None, None], labels


def loader(count=22, batch_size=8, seed=0):
    return DataLoader(TensorDataset(*images_and_labels(count, seed)), batch_size)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ClassificationModel(**SMALL)


def test_learns_what_can_be_learnt(model):
    model.optimization = Optimization(Part(name="AdamW", params={"lr": 0.01}))
    run = quiet_trainer(max_epochs=8)
    run.fit(model, loader(60), loader(60, seed=1))
    assert run.callback_metrics["val/accuracy"] > 0.9
    assert run.callback_metrics["train/accuracy"] > 0.9


def test_validation_metrics_are_exact_over_all_images(model):
    run = quiet_trainer()
    (logged,) = run.validate(model, loader(22), verbose=False)
    images, labels = images_and_labels(22)
    with torch.no_grad():
        logits = model.eval()(images)
    predicted = logits.argmax(dim=1)
    f1 = []
    for label in range(3):
        hits = int(((predicted == label) & (labels == label)).sum())
        f1.append(2 * hits / max(int((predicted == label).sum() + (labels == label).sum()), 1))
    assert logged["val/loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert logged["val/accuracy"] == pytest.approx(float((predicted == labels).float().mean()), rel=1e-6)
    assert logged["val/f1"] == pytest.approx(sum(f1) / 3, rel=1e-6)


def test_metrics_start_anew_in_every_epoch(model):
    class Frozen(ClassificationModel):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * 0

    model = Frozen(**SMALL, optimization=Optimization(Part(name="SGD", params={"lr": 0.0})))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    seen = []

    class Keep(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            seen.append({key: float(value) for key, value in trainer.callback_metrics.items() if "val/" in key})

    quiet_trainer(max_epochs=2, callbacks=[Keep()]).fit(model, loader(), loader(seed=1))
    assert seen[0] == seen[1]
    assert seen[0].keys() == {"val/loss", "val/accuracy", "val/f1"}


def test_training_metrics_weigh_every_image_the_same():
    model = ClassificationModel(**SMALL, optimization=Optimization(Part(name="SGD", params={"lr": 0.0})))
    images, labels = images_and_labels(22)
    run = quiet_trainer()
    run.fit(model, DataLoader(TensorDataset(images, labels), 16))
    with torch.no_grad():
        model.train()
        parts = [model(part) for part in images.split(16)]
    logits = torch.cat(parts)
    assert run.callback_metrics["train/accuracy"] == pytest.approx(
        float((logits.argmax(1) == labels).float().mean()), rel=1e-6
    )
    loss = float(torch.nn.functional.cross_entropy(logits, labels))
    assert run.callback_metrics["train/loss"] == pytest.approx(loss, rel=1e-5)


def test_label_smoothing_counts_in_training_only():
    torch.manual_seed(0)
    plain = ClassificationModel(**SMALL)
    smoothed = ClassificationModel(**SMALL, label_smoothing=0.2)
    smoothed.load_state_dict(plain.state_dict())
    losses = [quiet_trainer().validate(model, loader(), verbose=False)[0]["val/loss"] for model in (plain, smoothed)]
    assert losses[0] == losses[1]
    images, labels = images_and_labels(8)
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(smoothed.train()(images), labels, label_smoothing=0.2)
    smoothed.optimization = Optimization(Part(name="SGD", params={"lr": 0.0}))
    run = quiet_trainer()
    run.fit(smoothed, DataLoader(TensorDataset(images, labels), 8))
    assert run.callback_metrics["train/loss"] == pytest.approx(expected.item())


WEIGHTS = [0.5, 4.0, 1.0]


def test_class_weights_count_in_training_and_validation():
    torch.manual_seed(0)
    model = ClassificationModel(**SMALL, class_weights=WEIGHTS, label_smoothing=0.2)
    images, labels = images_and_labels(22)
    weights = torch.tensor(WEIGHTS)
    with torch.no_grad():
        logits = model.eval()(images)
    (logged,) = quiet_trainer().validate(model, loader(22), verbose=False)
    expected = torch.nn.functional.cross_entropy(logits, labels, weights)  # over all images, whatever their batches
    assert logged["val/loss"] == pytest.approx(expected.item(), rel=1e-5)
    loss = model.update_loss(model.train_loss, logits, labels, training=True)
    expected = torch.nn.functional.cross_entropy(logits, labels, weights, label_smoothing=0.2)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(model.train_loss.compute(), expected)


def test_without_class_weights_the_loss_is_the_plain_mean_to_the_last_bit(model):
    logits, labels = torch.randn(7, 3), torch.arange(7) % 3
    loss = model.update_loss(model.train_loss, logits, labels, training=True)
    assert loss == torch.nn.functional.cross_entropy(logits, labels, reduction="none").mean()


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_shares_of_classes_are_targets(class_weights, label_smoothing):
    model = ClassificationModel(**SMALL, class_weights=class_weights, label_smoothing=label_smoothing)
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 1, 0, 0])
    whole = torch.nn.functional.one_hot(labels, 3).float()
    losses = [model.update_loss(model.train_loss, logits, targets, training=True) for targets in (labels, whole)]
    torch.testing.assert_close(losses[0], losses[1])

    shares = 0.7 * whole + 0.3 * whole.roll(1, 0)
    weights = torch.tensor(class_weights or [1.0] * 3)
    smoothed = shares * (1 - label_smoothing) + label_smoothing / 3
    expected = -(weights * smoothed * logits.log_softmax(1)).sum() / (weights * shares).sum()
    torch.testing.assert_close(model.update_loss(model.train_loss, logits, shares, training=True), expected)
    compared, classes = model.compared(logits, shares)
    assert compared is logits
    assert torch.equal(classes, labels)


def test_a_model_may_have_more_classes_than_the_shares():
    model = ClassificationModel(**SMALL)
    logits, shares = torch.randn(2, 3), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    losses = [model.update_loss(model.train_loss, logits, one, True) for one in (shares, shares @ torch.eye(2, 3))]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, "autocast"])
def test_shares_and_class_weights_in_every_precision(dtype):
    model = ClassificationModel(**SMALL, class_weights=WEIGHTS, label_smoothing=0.1)
    logits, shares = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.eye(3).repeat(2, 1)
    shares = 0.75 * shares + 0.25 * shares.roll(1, 0)
    expected = model.update_loss(model.train_loss, logits, shares, training=True)
    if dtype == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.update_loss(model.val_loss, logits.bfloat16(), shares, training=True)
    else:  # Lightning converts model, images and targets
        model.to(dtype)
        loss = model.update_loss(model.val_loss, logits.to(dtype), shares.to(dtype), training=True)
    assert float(loss) == pytest.approx(float(expected), rel=0.02)
    assert float(model.val_loss.compute()) == pytest.approx(float(expected), rel=0.02)


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
def test_a_loss_that_is_no_number_shows(class_weights):
    model = ClassificationModel(**SMALL, class_weights=class_weights)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    assert math.isnan(quiet_trainer().validate(model, loader(), verbose=False)[0]["val/loss"])


def test_balanced_class_weights_come_from_the_counts():
    model = ClassificationModel(**SMALL, class_names=NAMES, class_weights="balanced", class_counts=[30, 10, 20])
    torch.testing.assert_close(model.class_weights, torch.tensor([60 / 90, 60 / 30, 60 / 60]))
    named = ClassificationModel(**SMALL, class_names=NAMES, class_weights={"dog": 2, "bird": 1, "cat": 3})
    assert named.class_weights.tolist() == [3, 2, 1]


class DarkOrLight(LabelDataModule):
    """Noise that is a little lighter in one image of eleven."""

    in_memory = True
    class_names = ("dark", "light")
    preprocessing = Preprocessing((16, 16), mean=(0.5,), std=(0.25,), color="GRAY")

    def __init__(self, **options):
        super().__init__(None, 20, 0, 1, **options)

    def setup(self, stage=None):
        self.take_splits({"train": self.draw(1000, 100, seed=0), "test": self.draw(200, 200, seed=1)})

    def draw(self, dark, light, seed):
        labels = torch.tensor([0] * dark + [1] * light)
        noise = torch.randn(len(labels), 1, 16, 16, generator=torch.Generator().manual_seed(seed))
        images = 120 + 50 * noise + 8 * labels[:, None, None, None]
        return DigitImages(images.clamp(0, 255).to(torch.uint8), labels)


def test_balanced_weights_and_sampling_find_more_of_a_rare_class():
    def recall(class_weights=None, sampling=None):
        torch.manual_seed(1)
        data = DarkOrLight(sampling=sampling)
        model = ClassificationModel(
            **SMALL | {"num_classes": 2},
            class_weights=class_weights,
            class_counts=data.class_counts(),
            optimization=Optimization(
                Part(name="AdamW", params={"lr": 0.005}),
                SchedulerPart(name="OneCycleLR", interval="step", params={"max_lr": 0.005}),
            ),
        )
        run = quiet_trainer(limit_val_batches=0)
        run.fit(model, datamodule=data)
        run.test(model, datamodule=data, verbose=False)
        counts = model.confusion_matrix.compute()
        return float(counts[1, 1] / counts[1].sum())

    plain = recall()
    assert recall(class_weights="balanced") > plain + 0.1
    assert recall(sampling="balanced") > plain + 0.1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("balanced", "model.params.class_weights: balanced needs the number of training images"),
        ({"cat": 1.0, "dog": 1.0, "birt": 1.0}, 'class_weights.birt: there is no class "birt". Did you mean "bird"'),
        ([1.0, math.nan, 1.0], "class_weights.1: expected a number greater than 0 .*, got nan"),
    ],
)
def test_class_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(ConfigError, match=message):
        ClassificationModel(**SMALL, class_names=NAMES, class_weights=weights)


def test_training_may_follow_a_validation(model):
    run = quiet_trainer()
    before = run.validate(model, loader(), verbose=False)
    run.fit(model, loader(), loader())
    assert run.validate(model, loader(), verbose=False) != before


def test_test_metrics(model):
    (logged,) = quiet_trainer().test(model, loader(), verbose=False)
    assert logged.keys() == {"test/loss", "test/accuracy", "test/f1"}


def test_checkpoint_holds_weights_and_class_names_alone(tmp_path):
    model = ClassificationModel(**SMALL | {"num_classes": None}, class_names=NAMES, class_weights=WEIGHTS)
    run = quiet_trainer()
    run.fit(model, loader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert checkpoint["class_names"] == NAMES
    assert all(key.startswith("backbone.") for key in checkpoint["state_dict"])
    loaded = ClassificationModel.load_from_checkpoint(tmp_path / "a.ckpt", **SMALL)
    assert loaded.class_names == NAMES
    images, _ = images_and_labels(4)
    assert torch.equal(loaded.eval()(images), model.eval()(images))


def test_other_class_names_are_warned_about(caplog):
    model = ClassificationModel(**SMALL, class_names=NAMES)
    with caplog.at_level(logging.WARNING, logger="cuelight.tasks.classification.model"):
        model.on_load_checkpoint({"class_names": NAMES})
        assert not caplog.records
        model.on_load_checkpoint({"class_names": ["dog", "cat", "bird"]})
    assert "['dog', 'cat', 'bird']" in caplog.text
    assert model.class_names == NAMES


@pytest.mark.parametrize(
    "damaged",
    [
        {"training_metrics": "x"},
        {"training_metrics": {"loss": 3, "accuracy": 3}},
        {"training_metrics": {"loss": {"total": torch.zeros(2)}, "accuracy": {}}},
        {"class_names": 3},
        {"class_names": [1, 2, 3]},
    ],
)
def test_damaged_entries_of_a_checkpoint_are_named(damaged):
    with pytest.raises(CheckpointError, match="training_metrics or class_names in the checkpoint is damaged"):
        ClassificationModel(**SMALL).on_load_checkpoint(damaged)


def test_class_count_comes_from_the_names():
    assert ClassificationModel(**SMALL | {"num_classes": None}, class_names=NAMES).num_classes == 3
    assert ClassificationModel(**SMALL | {"num_classes": 5}, class_names=NAMES).num_classes == 5


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"num_classes": None}, "neither it nor class_names was given"),
        ({"num_classes": 1}, "at least 2 classes, got 1"),
        ({"num_classes": 2, "class_names": NAMES}, "the data has 3 classes, but num_classes is 2"),
    ],
)
def test_impossible_class_counts_are_refused(counts, message):
    with pytest.raises(ConfigError, match=message):
        ClassificationModel(**SMALL | counts)


def test_example_input_fits(model):
    assert model.example_input_array.shape == (1, 1, 16, 16)
    assert model.eval()(model.example_input_array).shape == (1, 3)


def test_plain_training_uses_adamw(model):
    optimizer = model.configure_optimizers()
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["lr"] == 1e-3


class Batches(DataLoader):
    """A loader that goes on where it was, as Lightning asks of one."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.given = self.skip = 0

    def __iter__(self):
        skip, self.skip, self.given = self.skip, 0, self.skip
        for number, batch in enumerate(super().__iter__()):
            if number >= skip:
                self.given = number + 1
                yield batch

    def state_dict(self):
        return {"given": self.given}

    def load_state_dict(self, state):
        self.skip = state["given"]


def test_training_metrics_go_on_in_the_middle_of_an_epoch(tmp_path):
    class Save(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if (trainer.current_epoch, batch_idx) == (1, 0):
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    def train(*callbacks, resume=None):
        torch.manual_seed(0)
        run = quiet_trainer(max_epochs=2, callbacks=list(callbacks))
        data = Batches(TensorDataset(*images_and_labels(22)), 8)
        run.fit(ClassificationModel(**SMALL), data, ckpt_path=resume, weights_only=True)
        return {name: run.callback_metrics[name] for name in ("train/loss", "train/accuracy")}

    assert train(Save()) == train(resume=tmp_path / "middle.ckpt")


def test_training_metrics_of_an_epoch_that_is_cut_short(model):
    run = quiet_trainer(max_steps=2)
    run.fit(model, loader())
    assert run.callback_metrics.keys() >= {"train/loss", "train/accuracy", "train/loss_step"}


def test_training_metrics_are_seen_by_all_callbacks_and_start_anew(model):
    seen = []

    class Keep(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(float(trainer.callback_metrics["train/loss"]))

    model.optimization = Optimization(Part(name="SGD", params={"lr": 0.0}))
    quiet_trainer(max_epochs=2, callbacks=[Keep()]).fit(model, loader())
    assert seen[0] == seen[1]


def test_resumed_equals_uninterrupted(tmp_path):
    def new():
        torch.manual_seed(0)
        optimization = Optimization(
            Part(name="AdamW", params={"lr": 0.01}), SchedulerPart(name="CosineAnnealingLR", interval="step", warmup=2)
        )
        return ClassificationModel(**SMALL, optimization=optimization)

    whole = new()
    quiet_trainer(max_epochs=4).fit(whole, loader(), loader())

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    quiet_trainer(max_epochs=4, callbacks=[Save()]).fit(new(), loader(), loader())
    resumed = new()
    quiet_trainer(max_epochs=4).fit(resumed, loader(), loader(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
