"""The model of keypoints in real trainings."""

import math

import pytest
import torch
from torch.utils.data import DataLoader

from cuelight.config.schema import Part
from cuelight.data.skeleton import Skeleton
from cuelight.data.targets.keypoints import Keypoints, keypoint_target
from cuelight.errors import ConfigError
from cuelight.tasks.keypoints.model import COCO_SIGMAS, KeypointModel
from cuelight.training.mean_loss import WeightedMeanLoss
from cuelight.training.optimization import Optimization
from support.ranks import on_ranks
from support.trainers import quiet_trainer

POINTS = ["left", "right"]
SMALL = {
    "keypoint_names": POINTS,
    "backbone": "test_resnet",
    "in_channels": 1,
    "class_names": ["bar"],
    "input_size": (32, 64),
    "strides": [8, 16],
    "neck_channels": 16,
    "head_depth": 1,
    "sigmas": 0.1,
}
KIND = Keypoints(Skeleton(tuple(POINTS), flip_pairs=((0, 1),)))


def scene(number):
    """Noise with a bar whose ends are dark and bright, the points; every fourth image has none."""
    generator = torch.Generator().manual_seed(number)
    image = 0.1 * torch.randn(1, 32, 64, generator=generator)
    boxes, points = torch.zeros(0, 4), torch.zeros(0, 2, 3)
    if number % 4:
        width, height = (int(torch.randint(10, 20, (), generator=generator)) for _ in range(2))
        left, top = (int(torch.randint(0, 64 - 20, (), generator=generator)) for _ in range(2))
        top = top % (32 - height)
        boxes = torch.tensor([[left, top, left + width, top + height]]).float()
        middle, half = top + height / 2, width // 2
        image[:, top : top + height, left : left + half] = -3.0
        image[:, top : top + height, left + half : left + width] = 3.0
        seen = 1 if number % 3 == 0 else 2
        points = torch.tensor([[[left, middle, 2], [left + width, middle, seen]]]).float()
    return image, keypoint_target(boxes, torch.zeros(len(boxes)).long(), points, (32, 64))


def collate(samples):
    images, targets = zip(*samples, strict=True)
    return torch.stack(images), KIND.collate(targets)


def loader(count=12, batch_size=4, first=0):
    return DataLoader([scene(first + number) for number in range(count)], batch_size, collate_fn=collate)


def build(**changes):
    torch.manual_seed(0)
    return KeypointModel(**SMALL | changes)


@pytest.fixture(scope="module")
def trained():
    model = build(optimization=Optimization(Part(name="AdamW", params={"lr": 0.01})))
    run = quiet_trainer(max_epochs=30)
    run.fit(model, loader(32, 8), loader(16, first=100))
    return model, {name: value.item() for name, value in run.callback_metrics.items()}, run


def test_learns_what_can_be_learnt(trained) -> None:
    _, values, _ = trained
    assert values["val/map_50"] > 0.9
    assert values["val/oks_map_50"] > 0.8
    assert values["val/pck"] > 0.5
    assert set(values) == set(KeypointModel.logged_metrics)


def test_weights_and_threshold_are_kept_in_a_checkpoint(trained, tmp_path) -> None:
    model, values, run = trained
    run.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert all(key.startswith("network.") for key in checkpoint["state_dict"])
    loaded = build()
    loaded.load_state_dict(checkpoint["state_dict"])
    loaded.on_load_checkpoint(checkpoint)
    assert loaded.decoding()["conf_threshold"] == pytest.approx(values["val/conf_threshold"])
    [one], [other] = (quiet_trainer().test(each, loader(8, first=100), verbose=False) for each in (model, loaded))
    assert one == other


def test_a_test_has_the_errors_of_each_point(trained) -> None:
    model, *_ = trained
    [values] = quiet_trainer().test(model, loader(8, first=100), verbose=False)
    tables = model.result_tables()
    assert [row[0] for row in tables["point_pck"]] == ["point", *POINTS]
    assert sum(row[1] for row in tables["point_pck"][1:]) / 2 == pytest.approx(values["test/pck"])
    assert all(0 < row[1] < 20 for row in tables["point_error"][1:])
    assert {"class_ap", "size_ap"} < set(tables)


@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_a_validation_does_not_depend_on_the_batch_size(trained, batch_size) -> None:
    model, *_ = trained
    [one] = quiet_trainer().validate(model, loader(16, 4, first=100), verbose=False)
    [other] = quiet_trainer().validate(model, loader(16, batch_size, first=100), verbose=False)
    assert other == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_batches_without_points_end_nothing(precision) -> None:
    nothing = keypoint_target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 2, 3), (32, 64))
    box_only = keypoint_target(torch.tensor([[4.0, 4, 30, 30]]), torch.zeros(1).long(), torch.zeros(1, 2, 3), (32, 64))
    data = DataLoader([(scene(0)[0], each) for each in (nothing, box_only) * 3], 2, collate_fn=collate)
    model = build()
    run = quiet_trainer(precision=precision)
    run.fit(model, data, data)
    assert math.isfinite(run.callback_metrics["train/loss"])
    assert math.isfinite(run.callback_metrics["val/map"])
    assert math.isnan(run.callback_metrics["val/oks_map"])


def gradient_over_ranks():
    """The gradient of the points of a batch of eight that is divided between two processes."""
    model = build().train()
    batches = [collate([scene(number) for number in part]) for part in (range(4), range(4, 8))]
    model.network.eval()  # statistics of batches differ
    images, targets = batches[torch.distributed.get_rank()]
    model.update_loss(WeightedMeanLoss(), model(images), targets, training=True).backward()
    gradients = torch.cat([p.grad.flatten() for p in model.network.points.parameters()])
    torch.distributed.all_reduce(gradients)
    return (gradients / 2).tolist()


@pytest.mark.slow
def test_processes_compute_the_gradient_of_one() -> None:
    model = build().train()
    model.network.eval()
    images, targets = collate([scene(number) for number in range(8)])
    model.update_loss(WeightedMeanLoss(), model(images), targets, training=True).backward()
    whole = torch.cat([p.grad.flatten() for p in model.network.points.parameters()])
    for gradients in on_ranks(gradient_over_ranks):
        torch.testing.assert_close(torch.tensor(gradients), whole, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"keypoint_names": None}, "model.params.keypoint_names: there are no points. Use data with keypoints"),
        ({"sigmas": [0.1, 0.1, 0.1]}, "model.params.sigmas: there are 3 sigmas for 2 points: left, right."),
        ({"sigmas": "coco"}, "model.params.sigmas: there are 17 sigmas for 2 points"),
    ],
)
def test_points_that_do_not_fit_are_refused(params, said) -> None:
    with pytest.raises(ConfigError, match=said):
        build(**params)


def test_sigmas_of_coco_and_of_each_point() -> None:
    model = build(keypoint_names=[*map(str, range(17))], sigmas="coco")
    assert model.loss.sigmas.tolist() == pytest.approx(COCO_SIGMAS)
    assert build(sigmas=[0.1, 0.2]).loss.sigmas.tolist() == pytest.approx([0.1, 0.2])


def test_a_single_point_has_a_model() -> None:
    model = build(keypoint_names=["middle"]).eval()
    assert [tuple(maps.shape) for maps in model.for_export()(model.example_input_array)] == [
        (1, 6, 4, 8), (1, 6, 2, 4), (1, 3, 32), (1, 3, 8),
    ]  # fmt: skip
