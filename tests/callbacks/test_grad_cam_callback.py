"""Heat maps of the validation, drawn while a real training goes on."""

import csv
import errno
import gc
import logging
import resource
import signal
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import FSDPStrategy
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cuelight import registry
from cuelight.callbacks import grad_cam_callback
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.grad_cam_callback import GradCamCallback
from cuelight.errors import ConfigError, CuelightError
from cuelight.explain.pictures import draw_grid
from support.comparing import same
from support.digit_training import BATCH_SIZE, STEPS, DigitData, DigitModel, fit, pictures_in, trainer_for
from support.ranks import on_ranks

LAYER = "body.4"


class ChannelsLast(DigitModel):
    def __init__(self):
        super().__init__()
        self.to(memory_format=torch.channels_last)


class Compiled(DigitModel):
    def __init__(self):
        super().__init__()
        self.body.compile()
        self.head.compile()


class DrawsInEvaluation(DigitModel):
    """Draws random numbers also where it is evaluated."""

    def forward(self, images):
        return super().forward(nn.functional.dropout(images, 0.1, training=True))


class TwoOutputs(DigitModel):
    output_names = ("logits", "features")

    def forward(self, images):
        features = self.body(images)
        return self.head(features), features

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch[0])[0], batch[1])

    def validation_step(self, batch, batch_idx):
        """Nothing is measured."""


def outcome_of(folder, *callbacks, make_model=DigitModel, **settings):
    """All that a training leaves: losses, weights, gradients, and where the random numbers are."""
    _, model = fit(folder, list(callbacks), make_model, **settings)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return model.losses, model.state_dict(), gradients, torch.get_rng_state()


def cells(path):
    """A picture without its title, which tells the step."""
    return np.asarray(Image.open(path))[40:]


def averages():
    return [EMACallback(decay=0.9, decay_tau=2)]


SITUATIONS = {
    "plain": {},
    "average": {"more": averages},
    "accumulated": {"accumulate_grad_batches": 2},
    "bfloat16": {"precision": "bf16-mixed"},
    "channels last": {"make_model": ChannelsLast},
    "random in evaluation": {"make_model": DrawsInEvaluation},
    "without an example": {"make_model": lambda: DigitModel(example=False)},
    "validation in the epoch": {"val_check_interval": 2},
    "compiled": {"make_model": Compiled},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "compiled" else ()) for name in SITUATIONS]
)
def test_a_training_is_the_same_with_and_without_it_to_the_last_bit(name, tmp_path) -> None:
    settings = dict(SITUATIONS[name])
    more = settings.pop("more", list)
    without = outcome_of(tmp_path / "without", *more(), **settings)
    callbacks = [GradCamCallback(LAYER, "predicted", log_n_batches=2), *more()]
    with_it = outcome_of(tmp_path / "with", *callbacks, **settings)
    for one, other in zip(without, with_it, strict=True):
        assert same(one, other)
    validations = 4 if name == "validation in the epoch" else 2
    assert len(pictures_in(tmp_path / "with")) == 2 * validations


class Watching(GradCamCallback):
    """Counts what is alive before and after each picture."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.alive, self.hooks, self.changed = [], 0, []

    def on_validation_batch_end(self, trainer, pl_module, *arguments, **options):
        before, modes = self.count(), [module.training for module in pl_module.modules()]
        flags = [(value.requires_grad, value.grad is None) for value in pl_module.parameters()]
        super().on_validation_batch_end(trainer, pl_module, *arguments, **options)
        self.alive.append((before, self.count()))
        self.hooks += sum(
            len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
            for module in pl_module.modules()
        )
        self.changed.append(
            modes != [module.training for module in pl_module.modules()]
            or flags != [(value.requires_grad, value.grad is None) for value in pl_module.parameters()]
        )

    @staticmethod
    def count():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.fixture
def few_objects():
    """The garbage collector sees only what is made from now on, which is quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects")
def test_nothing_is_left_on_the_module_or_in_memory(tmp_path) -> None:
    watching = Watching(LAYER, "label", log_n_batches=2)
    fit(tmp_path, [watching], max_epochs=3)
    assert len(pictures_in(tmp_path)) == 6
    assert watching.hooks == 0
    assert not any(watching.changed)
    assert all(before == after for before, after in watching.alive[2:])  # the first two are of the sanity check
    assert len({after for _, after in watching.alive[4:]}) == 1


def test_pictures_of_the_first_batches_of_each_validation_at_the_step_of_its_loss(tmp_path) -> None:
    tensorboard = TensorBoardLogger(tmp_path / "logs")
    fit(tmp_path, [GradCamCallback(LAYER, log_n_batches=1)], logger=[tensorboard, *csv_logger(tmp_path)])
    with (tmp_path / "csv" / "metrics.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert steps == [STEPS - 1, 2 * STEPS - 1]
    folder = Path(tensorboard.log_dir)
    assert pictures_in(folder) == [f"epoch_000{n}_step_0000000{step}_val_0.jpg" for n, step in enumerate(steps, 1)]
    events = EventAccumulator(tensorboard.log_dir, size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["gradcam/val_0"]
    sent = events.Images("gradcam/val_0")
    assert [image.step for image in sent] == steps
    with Image.open(folder / "gradcam" / pictures_in(folder)[-1]) as picture:
        assert picture.size == (sent[-1].width, sent[-1].height)


class TwoOptimizers(DigitModel):
    """Steps the optimizers of its body and of its head for each batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
            optimizer.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.body, self.head)]


@pytest.mark.parametrize(
    ("make_model", "settings"),
    [
        (TwoOptimizers, {}),
        (TwoOptimizers, {"val_check_interval": 2}),
        (TwoOptimizers, {"check_val_every_n_epoch": 2, "max_epochs": 4}),
        (DigitModel, {"accumulate_grad_batches": 3}),
        (DigitModel, {"val_check_interval": 3}),
    ],
)
def test_the_step_of_a_picture_is_that_of_the_metrics(make_model, settings, tmp_path) -> None:
    fit(tmp_path, [GradCamCallback(LAYER)], make_model, logger=csv_logger(tmp_path), **settings)
    with (tmp_path / "csv" / "metrics.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert [int(name.split("_")[3]) for name in pictures_in(tmp_path / "csv")] == steps


def csv_logger(folder):
    return [pl.loggers.CSVLogger(folder, name="", version="csv")]


def test_a_large_batch_is_one_picture_of_some_of_its_images(tmp_path) -> None:
    for count in (8, 12, 13):
        data = DigitData(batch_size=count)
        data.images, data.labels = data.images.repeat(2, 1, 1, 1), data.labels.repeat(2)
        fit(tmp_path / str(count), [GradCamCallback(LAYER)], data=data, max_epochs=1)
    sizes = [Image.open(next((tmp_path / str(count) / "gradcam").iterdir())).size for count in (8, 12, 13)]
    assert sizes[0] < sizes[1] == sizes[2]


def test_the_average_is_what_is_drawn(tmp_path) -> None:
    callbacks = [GradCamCallback(LAYER, "label"), EMACallback(decay=0.9, decay_tau=2)]
    _, model = fit(tmp_path / "average", callbacks)  # it leaves the average of the last step in the model
    trainer_for(tmp_path / "again", [GradCamCallback(LAYER, "label")]).validate(model, DigitData())
    fit(tmp_path / "raw", [GradCamCallback(LAYER, "label")])
    during, again, raw = (
        cells(tmp_path / folder / "gradcam" / pictures_in(tmp_path / folder)[-1])
        for folder in ("average", "again", "raw")
    )
    np.testing.assert_array_equal(during, again)
    assert (during != raw).any()


def test_nothing_is_drawn_in_the_sanity_check_and_in_a_dry_run(tmp_path) -> None:
    fit(tmp_path, [GradCamCallback(LAYER)], max_epochs=0, num_sanity_val_steps=2)
    trainer = trainer_for(tmp_path, [GradCamCallback(LAYER)], limit_train_batches=0, num_sanity_val_steps=-1)
    trainer.fit(DigitModel(), datamodule=DigitData())
    trainer_for(tmp_path, [GradCamCallback(LAYER)], fast_dev_run=True).fit(DigitModel(), datamodule=DigitData())
    assert pictures_in(tmp_path) == []


@pytest.mark.parametrize("inference_mode", [True, False])
def test_a_validation_without_a_training(inference_mode, tmp_path) -> None:
    torch.manual_seed(0)
    trainer = trainer_for(tmp_path, [GradCamCallback(LAYER, "predicted", 2)], inference_mode=inference_mode)
    trainer.validate(DigitModel(), DigitData())
    assert pictures_in(tmp_path) == [f"epoch_0001_step_00000000_val_{batch}.jpg" for batch in range(2)]


def test_it_may_run_again_and_in_another_training(tmp_path) -> None:
    callback = GradCamCallback("auto")
    fit(tmp_path / "one", [callback], max_epochs=1)
    fit(tmp_path / "two", [callback], max_epochs=1)
    names = [pictures_in(tmp_path / folder) for folder in ("one", "two")]
    assert names[0] == names[1]
    first, second = (cells(tmp_path / folder / "gradcam" / names[0][0]) for folder in ("one", "two"))
    np.testing.assert_array_equal(first, second)


# Any Trainer, any module.


class Stranger(pl.LightningModule):
    """Someone's own module: batches are mappings of colored images, and nothing is told of anything."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 144, 3))

    def forward(self, images):
        return self.layers(images)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch["image"]), batch["label"])

    def validation_step(self, batch, batch_idx):
        """Nothing is measured."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def strange_batches():
    torch.manual_seed(1)
    return DataLoader(
        [{"image": 20 * torch.randn(3, 12, 12), "label": number % 3} for number in range(8)], batch_size=4
    )


@pytest.mark.parametrize("layer", ["layers.0", 3, -4, "auto"])
def test_a_module_and_loaders_of_ones_own(layer, tmp_path, caplog) -> None:
    callback = GradCamCallback(layer, "label")
    trainer = trainer_for(tmp_path, [callback], max_epochs=1)
    trainer.fit(Stranger(), strange_batches(), strange_batches())
    assert len(pictures_in(tmp_path)) == 1, caplog.text
    assert "GradCamCallback" not in caplog.text


def test_images_without_labels(tmp_path, caplog) -> None:
    class Unlabelled(Stranger):
        def training_step(self, batch, batch_idx):
            return self(batch).square().mean()

    images = DataLoader([torch.randn(3, 12, 12) for _ in range(4)], batch_size=4)
    trainer = trainer_for(tmp_path, [GradCamCallback("layers.0", 2)], max_epochs=1)
    trainer.fit(Unlabelled(), images, images)
    assert len(pictures_in(tmp_path)) == 1, caplog.text


class Masks(DigitData):
    """The mask of a digit is where its ink is."""

    class_names = ("background", "ink")

    def __init__(self):
        super().__init__()
        self.labels = (self.images[:, 0] > 1).long()


class Segmenter(DigitModel):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU())
        self.decoder = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(8, 2, 1))

    def forward(self, images):
        return self.decoder(self.encoder(images))


@pytest.mark.parametrize("class_idx", ["ink", "label", "predicted"])
def test_a_segmentation(class_idx, tmp_path, caplog) -> None:
    callback = GradCamCallback("auto", class_idx, task="segmentation")
    without, with_it = (
        outcome_of(tmp_path / str(len(callbacks)), *callbacks, make_model=Segmenter, data=Masks(), max_epochs=1)
        for callbacks in ([], [callback])
    )
    for one, other in zip(without, with_it, strict=True):
        assert same(one, other)
    assert len(pictures_in(tmp_path / "1")) == 1, caplog.text
    assert callback._target.layer == "encoder"
    assert callback._target.scores.background == 0


class WhiteIsInk(pl.LightningModule):
    """Tells white pixels from black ones."""

    ignore_index = 7

    def __init__(self):
        super().__init__()
        self.network = nn.Conv2d(1, 2, 1)
        self.network.weight.data = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1)
        self.network.bias.data = torch.tensor([0.5, -0.5])

    def forward(self, images):
        return self.network(images)

    def validation_step(self, batch, batch_idx):
        """Nothing is measured."""


@pytest.fixture
def drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        grad_cam_callback, "draw_grid", lambda images, *more: drawn.extend(images) or draw_grid(images, *more)
    )
    return drawn


def validate_letterbox(module, inside, outside, tmp_path):
    images = torch.zeros(1, 1, 8, 8)
    images[..., 2:6, 2:6] = 1  # and the black of a letterbox around it
    masks = torch.where(images[:, 0] == 1, inside, outside)
    callback = GradCamCallback("network", 1, task="segmentation")
    trainer_for(tmp_path, [callback]).validate(module, DataLoader(TensorDataset(images, masks)), verbose=False)


# The model is right about every pixel that has a label.
@pytest.mark.parametrize(("values", "share"), [((1, 255), 100), ((1, 7), 100), ((1, 0), 25), ((255, 255), 0)])
def test_pixels_without_a_label_count_nowhere_in_a_segmentation(values, share, drawn, tmp_path) -> None:
    validate_letterbox(WhiteIsInk(), *values, tmp_path)

    assert [one.score for one in drawn] == [f"{share:.1f}% of the pixels"]
    assert [one.note for one in drawn] == [f"label: {share:.1f}% of the pixels"]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.uint16])
def test_masks_of_any_type(dtype, drawn, tmp_path) -> None:
    inside, outside = torch.tensor([1, 0]).to(dtype)
    validate_letterbox(WhiteIsInk(), inside, outside, tmp_path)

    assert [one.score for one in drawn] == ["25.0% of the pixels"]


def test_255_may_be_a_class(drawn, tmp_path) -> None:
    module = WhiteIsInk()
    module.num_classes = 256
    validate_letterbox(module, 1, 255, tmp_path)

    assert [one.score for one in drawn] == ["25.0% of the pixels"]


def test_several_validation_loaders(tmp_path) -> None:
    class Two(DigitData):
        def val_dataloader(self):
            return [super().val_dataloader()] * 2

    class Model(DigitModel):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            """Nothing is measured."""

    fit(tmp_path, [GradCamCallback(LAYER)], Model, Two(), max_epochs=1)
    assert [name.split("val_")[1] for name in pictures_in(tmp_path)] == ["0.jpg", "0_dataloader_1.jpg"]


def test_an_output_that_was_chosen(tmp_path) -> None:
    for output in ("logits", 0):
        fit(tmp_path / str(output), [GradCamCallback(LAYER, output=output)], TwoOutputs, max_epochs=1)
        assert len(pictures_in(tmp_path / str(output))) == 1


# What is wrong.


@pytest.mark.parametrize(
    ("parameters", "texts"),
    [
        ({"target_layer": "bdy.4"}, ['no layer "bdy.4"', 'Did you mean "body.4"']),
        ({"target_layer": 500}, ["no layer 500", "from -14 to 13"]),
        ({"target_layer": "head.3"}, ["head.3", "Expected a spatial map"]),
        ({"target_layer": LAYER, "class_idx": 10}, ["class index 10", '0 "0"', '9 "9"']),
        ({"target_layer": LAYER, "class_idx": "ten"}, ['unknown class "ten"', '9 "9"']),
        ({"target_layer": LAYER, "task": "segmentation"}, ["segmentation", "(1, 10)"]),
        ({"target_layer": LAYER, "task": "detection"}, ["detection", "class_scores"]),
        ({"target_layer": LAYER, "output": "boxes"}, ['no output "boxes"']),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said_before_the_training(parameters, texts, tmp_path) -> None:
    model = DigitModel()
    trainer = trainer_for(tmp_path, [GradCamCallback(**parameters)])
    with pytest.raises(CuelightError) as raised:
        trainer.fit(model, datamodule=DigitData())
    for text in ["GradCamCallback: ", *texts]:
        assert text in str(raised.value)
    assert model.losses == []
    with pytest.raises(CuelightError):
        trainer_for(tmp_path, [GradCamCallback(**parameters)]).validate(model, DigitData())
    assert model.losses == []


def test_several_outputs_are_named_before_the_training(tmp_path) -> None:
    with pytest.raises(CuelightError, match='0 "logits", 1 "features"'):
        fit(tmp_path, [GradCamCallback(LAYER)], TwoOutputs)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"target_layer": "nowhere"}, "GradCamCallback: .*nowhere"),
        ({"target_layer": LAYER, "class_idx": "ten"}, "GradCamCallback: .*ten"),
    ],
)
def test_what_can_be_looked_up_is_also_without_an_example(parameters, text, tmp_path) -> None:
    with pytest.raises(CuelightError, match=text):
        fit(tmp_path, [GradCamCallback(**parameters)], lambda: DigitModel(example=False))


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"target_layer": "head.3"}, "GradCamCallback: .* Expected a spatial map"),
        ({"target_layer": LAYER, "class_idx": 99}, "class index 99"),
        ({"target_layer": LAYER, "output": "boxes"}, 'no output "boxes"'),
    ],
)
def test_without_an_example_the_rest_is_tried_in_the_sanity_check(parameters, text, tmp_path) -> None:
    model = DigitModel(example=False)
    trainer = trainer_for(tmp_path, [GradCamCallback(**parameters)])
    with pytest.raises(CuelightError, match=text):
        trainer.fit(model, datamodule=unnamed_data())
    assert trainer.global_step == 0


def test_an_example_that_the_module_does_not_take(tmp_path) -> None:
    model = DigitModel()
    model.example_input_array = torch.zeros(1, 3, 28, 28)
    with pytest.raises(CuelightError, match=r"DigitModel cannot be run on its example_input_array \(1, 3, 28, 28\)"):
        trainer_for(tmp_path, [GradCamCallback(LAYER)]).fit(model, datamodule=DigitData())


@pytest.mark.parametrize(
    "names", [list(range(10)), np.array([str(digit) for digit in range(10)])], ids=["int", "array"]
)
def test_names_of_classes_of_another_type(names, tmp_path) -> None:
    data = DigitData()
    data.class_names = names
    fit(tmp_path, [GradCamCallback(LAYER, "3")], data=data, max_epochs=1)
    assert len(pictures_in(tmp_path)) == 1


def test_several_callbacks_do_not_write_over_each_other(tmp_path) -> None:
    tensorboard = TensorBoardLogger(tmp_path / "logs")
    callbacks = [GradCamCallback("body.0", "label"), EMACallback(), GradCamCallback(LAYER, "label")]
    fit(tmp_path, callbacks, logger=tensorboard, max_epochs=1)
    first, second = pictures_in(Path(tensorboard.log_dir))
    assert (first[-9:], second[-20:]) == ("val_0.jpg", "val_0_callback_1.jpg")
    events = EventAccumulator(tensorboard.log_dir, size_guidance={"images": 0}).Reload()
    assert sorted(events.Tags()["images"]) == ["gradcam/val_0", "gradcam/val_0_callback_1"]


@pytest.mark.parametrize(
    ("params", "path", "text"),
    [
        ({}, "target_layer", "needs the parameter"),
        ({"target_layer": 1.5}, "target_layer", "1.5"),
        ({"target_layer": 1, "log_n_batches": 0}, "log_n_batches", "at least 1, got 0"),
        ({"target_layer": 1, "class_idx": -1}, "class_idx", "at least 0"),
        ({"target_layer": 1, "method": "gradcan"}, "method", "gradcam"),
        ({"target_layer": 1, "task": "clasification"}, "task", "classification"),
    ],
    ids=str,
)
def test_what_a_file_sets_is_checked_when_it_is_read(params, path, text) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.callbacks.build({"name": "GradCamCallback", "params": params})
    (problem,) = refused.value.problems
    assert problem.path == f"params.{path}"
    assert text in problem.message
    if path in ("log_n_batches", "class_idx"):
        with pytest.raises(ValueError, match=text):
            GradCamCallback(**params)


def warnings_of(caplog):
    return [record.message for record in caplog.records if "GradCamCallback" in record.message]


def test_what_fails_while_training_is_told_once_and_the_training_goes_on(tmp_path, caplog) -> None:
    settings = {"num_sanity_val_steps": 0, "data": unnamed_data()}
    with caplog.at_level(logging.WARNING):
        trainer, _ = fit(tmp_path, [GradCamCallback(LAYER, 99)], lambda: DigitModel(example=False), **settings)
    (warning,) = warnings_of(caplog)
    assert "class index 99" in warning
    assert "9. Training continues." in warning
    assert trainer.global_step == 2 * STEPS
    assert pictures_in(tmp_path) == []


def unnamed_data():
    data = DigitData()
    data.class_names = None
    return data


def test_a_batch_that_holds_no_images(tmp_path, caplog) -> None:
    trainer = trainer_for(tmp_path, [GradCamCallback("layer")], limit_train_batches=2, limit_val_batches=1)
    with caplog.at_level(logging.WARNING):
        trainer.fit(BoringModel())
    (warning,) = warnings_of(caplog)
    assert "got a tensor (1, 32)" in warning


def test_a_folder_that_cannot_be_written(tmp_path, caplog) -> None:
    (tmp_path / "gradcam").write_text("this is a file")
    with caplog.at_level(logging.WARNING):
        trainer, _ = fit(tmp_path, [GradCamCallback(LAYER)])
    assert len(warnings_of(caplog)) == 1
    assert trainer.global_step == 2 * STEPS


def test_a_disk_that_stays_full_is_told_once(tmp_path, caplog) -> None:
    largest, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with caplog.at_level(logging.WARNING):
            trainer, _ = fit(tmp_path, [GradCamCallback(LAYER)], logger=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(warnings_of(caplog)) == 1
    assert trainer.global_step == 2 * STEPS
    assert list((tmp_path / "gradcam").iterdir()) == []


def test_an_error_that_names_another_file_each_time_is_told_once(caplog) -> None:
    callback = GradCamCallback(LAYER)
    for number in range(3):
        callback._tell(OSError(errno.ENOSPC, "No space left on device", f"picture_{number}"))
    callback._tell(OSError(errno.EACCES, "Permission denied", "picture_3"))
    assert len(warnings_of(caplog)) == 2


def test_weights_that_are_spread_out_are_refused_where_something_would_be_drawn() -> None:
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    for stage in ("fit", "validate"):
        with pytest.raises(CuelightError, match="does not support FSDPStrategy"):
            GradCamCallback(LAYER).setup(trainer, DigitModel(), stage)
    GradCamCallback(LAYER).setup(trainer, DigitModel(), "test")


# Several processes.


def train_on_a_rank(folder, with_pictures):
    callbacks = [GradCamCallback(LAYER, "label", 2)] if with_pictures else []
    trainer, model = fit(folder, callbacks, strategy="ddp", devices=2, use_distributed_sampler=True)
    return trainer.global_rank, model.losses, model.state_dict()


@pytest.mark.slow
def test_the_first_of_two_processes_draws_and_both_train_alike(tmp_path) -> None:
    without = on_ranks(train_on_a_rank, tmp_path / "without", False)
    with_it = on_ranks(train_on_a_rank, tmp_path / "with", True)
    assert [rank for rank, *_ in with_it] == [0, 1]
    for one, other in zip(without, with_it, strict=True):
        assert one[1] == other[1]
        assert same(one[2], other[2])
    assert len(pictures_in(tmp_path / "with")) == 2 * (16 // 2 // BATCH_SIZE)
