"""The segmentation model in real trainings."""

import math

import lightning.pytorch as pl
import pytest
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import multiclass_jaccard_index

from cuelight.config.schema import ExporterConfig, Part
from cuelight.errors import ConfigError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.classification.model import ClassificationModel
from cuelight.tasks.segmentation.model import SegmentationModel
from cuelight.tasks.segmentation.networks import ARCHITECTURES
from cuelight.training.optimization import Optimization
from cuelight.utils.files import without_nan
from support.ranks import on_ranks
from support.trainers import quiet_trainer

NAMES = ["background", "dark", "bright"]
SMALL = {
    "encoder": "test_resnet",
    "num_classes": 3,
    "in_channels": 1,
    "input_size": (32, 32),
    "architecture_params": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
}
IGNORED = 255


def images_and_masks(count, seed=0):
    """Noise with a dark and a bright half, and a stripe between them that does not count."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, 32, 32, dtype=torch.int64)
    masks[:, :16, 4:28], masks[:, 17:, 4:28], masks[:, 16] = 1, 2, IGNORED
    images = 0.3 * torch.randn(count, 1, 32, 32, generator=generator)
    return images + torch.tensor([0.0, -2.0, 2.0])[masks.where(masks != IGNORED, 0)][:, None], masks


def loader(count=11, batch_size=4, seed=0):
    return DataLoader(TensorDataset(*images_and_masks(count, seed)), batch_size)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SegmentationModel(**SMALL)


def test_learns_what_can_be_learnt(model) -> None:
    model.optimization = Optimization(Part(name="AdamW", params={"lr": 0.01}))
    run = quiet_trainer(max_epochs=8)
    run.fit(model, loader(24), loader(24, seed=1))
    assert run.callback_metrics["val/mean_iou"] > 0.9
    assert set(run.callback_metrics) == set(SegmentationModel.logged_metrics)


def test_validation_metrics_are_exact_over_all_pixels(model) -> None:
    images, masks = images_and_masks(11)
    masks[0], masks[3, :20] = IGNORED, IGNORED  # so that batches have different numbers of pixels that count
    [logged] = quiet_trainer().validate(model, DataLoader(TensorDataset(images, masks), 4), verbose=False)
    with torch.no_grad():
        logits = model.eval()(images)
    iou = multiclass_jaccard_index(logits, masks, 3, ignore_index=IGNORED)
    known = masks != IGNORED
    assert logged["val/loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, masks, ignore_index=IGNORED).item(), rel=1e-5
    )
    assert logged["val/mean_iou"] == pytest.approx(iou.item(), rel=1e-5)
    assert logged["val/pixel_accuracy"] == pytest.approx((logits.argmax(1) == masks)[known].float().mean().item())


def test_metrics_start_anew_in_every_epoch() -> None:
    model = SegmentationModel(**SMALL, optimization=Optimization(Part(name="SGD", params={"lr": 0.0})))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    seen = []

    class Keep(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            seen.append({key: float(value) for key, value in trainer.callback_metrics.items() if "val/" in key})

    quiet_trainer(max_epochs=2, callbacks=[Keep()]).fit(model, loader(), loader(seed=1))
    assert seen[0] == seen[1]


def test_the_confusion_matrix_counts_pixels(model) -> None:
    quiet_trainer().test(model, loader(), verbose=False)
    counts = model.confusion_matrix.compute()
    _, masks = images_and_masks(11)
    assert counts.sum(1).tolist() == [int((masks == index).sum()) for index in range(3)]


def test_the_iou_of_each_class_is_a_result(model) -> None:
    assert model.result_tables() == {}
    model.confusion_matrix.update(torch.tensor([[[0, 1, 1, 2]]]), torch.tensor([[[0, 0, 1, IGNORED]]]))
    columns, rows = ["class", "IoU"], [["0", 0.5], ["1", 0.5], ["2", None]]
    assert without_nan(model.result_tables()) == {"class_iou": [columns, *rows]}
    named = without_nan(model.result_tables(["sky", "tree"]))
    assert named == {"class_iou": [columns, ["sky", 0.5], ["tree", 0.5], ["2", None]]}


def test_ignored_pixels_are_not_learnt_from() -> None:
    def weights(value):
        torch.manual_seed(0)
        model = SegmentationModel(**SMALL, ignore_index=value, loss={"cross_entropy": 1.0, "dice": 1.0})
        images, masks = images_and_masks(8)
        masks[masks == IGNORED] = value
        quiet_trainer().fit(model, DataLoader(TensorDataset(images, masks), 4))
        return model.state_dict()

    one, other = weights(IGNORED), weights(-100)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_without_labels_ends_nothing(model) -> None:
    images, masks = images_and_masks(8)
    masks[:4] = IGNORED
    run = quiet_trainer()
    run.fit(model, DataLoader(TensorDataset(images, masks), 4))
    assert math.isfinite(run.callback_metrics["train/loss"])


def test_validation_without_a_labelled_pixel_is_said_once_and_measures_nothing(model, caplog) -> None:
    images, masks = images_and_masks(8)
    empty = DataLoader(TensorDataset(images, torch.full_like(masks, IGNORED)), 4)
    run = quiet_trainer(max_epochs=2, num_sanity_val_steps=1)
    run.fit(model, loader(), empty)
    assert [math.isnan(run.callback_metrics[f"val/{name}"]) for name in ("loss", "mean_iou", "dice")] == [True] * 3
    (line,) = [message for message in caplog.messages if "no pixel" in message]
    assert line.startswith("val: no pixel of any mask has a class: all of them are 255, which is ignored. The metrics")


def test_classes_that_no_mask_has_are_named(caplog) -> None:
    model = SegmentationModel(**SMALL | {"class_names": NAMES, "ignore_index": 0})
    images, masks = images_and_masks(8)
    lacking = DataLoader(TensorDataset(images, masks.where(masks != 1, 0)), 4)
    quiet_trainer().fit(model, loader(), lacking)
    quiet_trainer().test(model, lacking)
    quiet_trainer().validate(model, loader())
    assert [message for message in caplog.messages if "no pixel" in message] == [
        f"{split}: no pixel of 1 of 2 classes: dark. Its metrics do not measure them." for split in ("val", "test")
    ]


@pytest.mark.parametrize("architecture", ["DeepLabV3", "UPerNet"])
def test_an_epoch_may_end_with_a_single_image(architecture) -> None:
    torch.manual_seed(0)
    model = SegmentationModel(**SMALL | {"architecture": architecture, "architecture_params": {}})
    run = quiet_trainer()
    run.fit(model, loader(3, 2), loader(3, 2))
    assert run.global_step == 2
    assert math.isfinite(run.callback_metrics["train/loss"])


def test_a_single_image_counts_once_in_the_loss() -> None:
    torch.manual_seed(0)
    model = SegmentationModel(**SMALL | {"architecture": "DeepLabV3", "architecture_params": {}})
    seen = []
    count = model.train_loss.update
    model.train_loss.update = lambda loss, weight: (seen.append(int(weight)), count(loss, weight))
    quiet_trainer().fit(model, loader(3, 2), loader(3, 2))
    per_image = int((images_and_masks(1)[1] != IGNORED).sum())
    assert seen == [2 * per_image, per_image]


def test_pixels_of_no_class_are_ignored_beside_a_class_that_is() -> None:
    images, masks = images_and_masks(6)
    data = DataLoader(TensorDataset(images, masks), 3)
    both = masks.where(masks != 0, IGNORED)  # what counts is the same
    losses = []
    for ignore_index, targets in ((0, data), (IGNORED, DataLoader(TensorDataset(images, both), 3))):
        torch.manual_seed(0)
        model = SegmentationModel(**SMALL, ignore_index=ignore_index)
        run = quiet_trainer()
        run.fit(model, targets, targets)
        losses.append([run.callback_metrics[name].item() for name in ("train/loss", "val/loss", "val/pixel_accuracy")])
    assert losses[0] == losses[1]


def test_a_network_that_can_gets_single_images(model) -> None:
    sizes = []
    model.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    quiet_trainer().fit(model, loader(3, 2))
    assert sorted(sizes) == [1, 2]


def test_checkpoint_holds_weights_and_class_names_alone(tmp_path) -> None:
    weights = {"bright": 2.0, "background": 1.0, "dark": 2.0}
    model = SegmentationModel(**SMALL | {"num_classes": None}, class_names=NAMES, class_weights=weights)
    run = quiet_trainer()
    run.fit(model, loader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert checkpoint["class_names"] == NAMES
    assert all(key.startswith("network.") for key in checkpoint["state_dict"])
    loaded = SegmentationModel.load_from_checkpoint(tmp_path / "a.ckpt", **SMALL)
    assert loaded.class_names == NAMES
    images, _ = images_and_masks(2)
    assert torch.equal(loaded.eval()(images), model.eval()(images))


def test_what_another_task_has_counted_is_left_alone(model) -> None:
    other = ClassificationModel("test_resnet", num_classes=3, in_channels=1, input_size=(32, 32))
    for one, another in ((model, other), (other, model)):
        checkpoint = {}
        one.on_save_checkpoint(checkpoint)
        another.on_load_checkpoint(checkpoint)  # so that its weights, which are read next, can tell what is wrong


def test_resumed_equals_uninterrupted(tmp_path) -> None:
    def train(*callbacks, resume=None):
        torch.manual_seed(0)
        model = SegmentationModel(**SMALL)
        run = quiet_trainer(max_epochs=4, callbacks=list(callbacks))
        run.fit(model, loader(), loader(), ckpt_path=resume, weights_only=True)
        return model.state_dict() | {name: run.callback_metrics[name] for name in ("train/loss", "val/mean_iou")}

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    whole, resumed = train(Save()), train(resume=tmp_path / "half.ckpt")
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


@pytest.mark.parametrize(
    ("params", "path", "message"),
    [
        ({"architecture": "UNett"}, "architecture", 'unknown architecture "UNett". Did you mean "Unet"?'),
        ({"encoder": "resnet81"}, "encoder", '"resnet81". Did you mean "resnet18", "resnet61q" or'),
        ({"encoder": "resnet118"}, "encoder", 'has an encoder "resnet118". Did you mean'),
        ({"encoder": "resnet18.none"}, "encoder", 'resnet18 has no pretrained weights "none"'),
        ({"encoder": "test_resnetx"}, "encoder", '"test_resnet"'),
        ({"loss": "dise"}, "loss", 'Did you mean "dice"?'),
        ({"architecture_params": {"classes": 3}}, "architecture_params.classes", "set num_classes of the model"),
        (
            {"architecture_params": {"decoder_chanels": [8]}},
            "architecture_params.decoder_chanels",
            'resnet18 has no argument "decoder_chanels". Did you mean "decoder_channels"?',
        ),
        ({"architecture_params": {"activation": "softmax"}}, "architecture_params.activation", "outputs logits"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(params, path, message) -> None:
    [problem] = SegmentationModel.parameter_problems(params, "model.params")
    assert problem.path == f"model.params.{path}"
    assert message in problem.message


def test_an_encoder_of_both_libraries_is_suggested_once() -> None:
    [problem] = SegmentationModel.parameter_problems({"encoder": "resnet19"}, "")
    assert problem.message.count('"resnet18"') == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": (100, 90), "architecture": "FPN", "architecture_params": {}}, "It accepts 96 x 64 or 128 x 96"),
        ({"architecture_params": {"decoder_chanels": [8]}}, 'no argument "decoder_chanels"'),
        ({"architecture": "DPT", "encoder": "mit_b0", "architecture_params": {}}, "DPT with the encoder mit_b0 cannot"),
        ({"class_weights": [1.0]}, "expected a number for each of 3 classes, got 1"),
        ({"class_weights": [1.0, -1.5, 1.0]}, "expected 0 or a number greater than 0 .*, got -1.5"),
        ({"class_weights": [1.0, math.nan, 1.0]}, "0 or a number .*, got nan"),
        ({"class_weights": [0.0, 0.0, 0.0]}, "above 0 for at least one class"),
        ({"class_weights": {"0": 1.0, "1": 1.0}}, "a weight for each class; there is none for 2"),
        ({"num_classes": 1}, "at least 2 classes, got 1"),
    ],
)
def test_what_does_not_fit_together_is_said(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentationModel(**SMALL | changes)


def test_example_input_fits(model) -> None:
    assert model.eval()(model.example_input_array).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_masks_of_the_size_of_the_images(architecture) -> None:
    changes = {"architecture": architecture, "architecture_params": {}, "input_size": (128, 160)}
    model = SegmentationModel(**SMALL | changes)
    assert model.eval()(model.example_input_array).shape == (1, 3, 128, 160)
    SegmentationModel.parameter_problems({"architecture": architecture.upper()}, "")


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18", "mit_b0", "efficientnet-b0"])
def test_encoders_of_both_libraries(encoder) -> None:
    model = SegmentationModel(encoder=encoder, num_classes=3, input_size=(64, 96))
    assert model.eval()(model.example_input_array).shape == (1, 3, 64, 96)


def test_an_encoder_has_no_layers_that_are_not_used(model) -> None:
    model.optimization = Optimization(Part(name="SGD", params={"lr": 0.0}))
    quiet_trainer().fit(model, loader(4))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_architectures_are_all_that_the_library_has() -> None:
    assert {name.lower() for name in ARCHITECTURES} == set(smp.MODEL_ARCHITECTURES_MAPPING)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_exported(architecture, tmp_path) -> None:
    changes = {"architecture": architecture, "architecture_params": {}, "input_size": (128, 160)}
    model = SegmentationModel(**SMALL | changes).eval()
    images = torch.randn(2, 1, 128, 160)
    opset = 18 if architecture in ("PSPNet", "UPerNet") else 17  # they average over parts of different sizes
    options = ExporterConfig(dynamic_batch=True, opset=opset)
    exported = export_onnx(
        model.for_export(), images[:1], tmp_path / "a.onnx", options, ModelMetadata("f" * 64), images=images,
        output_names=model.output_names,
    )  # fmt: skip
    assert {difference.batch_size for difference in exported.differences} == {1, 2}
    [outputs] = OnnxModel.open(tmp_path / "a.onnx")(images).values()
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(outputs), model.for_export()(images), rtol=1e-3, atol=1e-3)


def validated_on_a_rank():
    torch.manual_seed(0)
    run = quiet_trainer(devices=2, strategy="ddp")
    [logged] = run.validate(SegmentationModel(**SMALL), loader(12, 3), verbose=False)
    return logged


@pytest.mark.slow
def test_ranks_measure_together_what_one_would() -> None:
    torch.manual_seed(0)
    [alone] = quiet_trainer(devices=1).validate(SegmentationModel(**SMALL), loader(12, 3), verbose=False)
    for logged in on_ranks(validated_on_a_rank):
        assert logged == pytest.approx(alone, rel=1e-5)
