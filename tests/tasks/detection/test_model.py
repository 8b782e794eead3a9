"""The detection model in real trainings."""

import math
import time

import pytest
import torch
from torch.utils.data import DataLoader

from cuelight.config.schema import Part
from cuelight.data.targets.boxes import BOXES, box_target
from cuelight.errors import CheckpointError
from cuelight.tasks.detection.model import DetectionModel
from cuelight.training.mean_loss import WeightedMeanLoss
from cuelight.training.optimization import Optimization
from cuelight.utils.files import without_nan
from support.ranks import on_ranks
from support.trainers import quiet_trainer

NAMES = ["dark", "bright"]
SMALL = {
    "backbone": "test_resnet",
    "in_channels": 1,
    "class_names": NAMES,
    "input_size": (32, 64),
    "strides": [8, 16],
    "neck_channels": 16,
    "head_depth": 1,
}


def scene(number):
    """Noise with a dark square on the left and a bright one on the right; every fourth image has none."""
    generator = torch.Generator().manual_seed(number)
    image, boxes = 0.1 * torch.randn(1, 32, 64, generator=generator), []
    for label, value in enumerate((-3.0, 3.0) if number % 4 else ()):
        side = int(torch.randint(10, 20, (), generator=generator))
        left, top = (int(torch.randint(0, 32 - side, (), generator=generator)) for _ in range(2))
        left += 32 * label
        image[:, top : top + side, left : left + side] = value
        boxes.append([left, top, left + side, top + side])
    return image, box_target(torch.tensor(boxes), torch.arange(len(boxes)), (32, 64))


def collate(samples):
    images, targets = zip(*samples, strict=True)
    return torch.stack(images), BOXES.collate(targets)


def loader(count=12, batch_size=4, first=0):
    return DataLoader([scene(first + number) for number in range(count)], batch_size, collate_fn=collate)


def build(**changes):
    torch.manual_seed(0)
    return DetectionModel(**SMALL | changes)


@pytest.fixture(scope="module")
def trained():
    model = build(optimization=Optimization(Part(name="AdamW", params={"lr": 0.01})))
    run = quiet_trainer(max_epochs=25)
    run.fit(model, loader(32, 8), loader(16, first=100))
    return model, {name: value.item() for name, value in run.callback_metrics.items()}, run


def test_learns_what_can_be_learnt(trained) -> None:
    model, values, _ = trained
    assert values["val/map_50"] > 0.9
    assert values["val/f1"] > 0.8
    assert set(values) == set(DetectionModel.logged_metrics)
    assert model.conf_threshold == pytest.approx(values["val/conf_threshold"])


def test_the_threshold_of_the_validation_is_kept_in_checkpoint_and_export(trained, tmp_path) -> None:
    _, values, run = trained
    run.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert all(key.startswith("network.") for key in checkpoint["state_dict"])
    loaded = build()
    loaded.on_load_checkpoint(checkpoint)
    threshold = pytest.approx(values["val/conf_threshold"])
    assert loaded.conf_threshold == threshold
    assert loaded.decoding()["conf_threshold"] == threshold
    assert loaded.archive_heads()[0]["metadata"]["conf_threshold"] == threshold
    given = build(conf_threshold=0.125)
    given.on_load_checkpoint(checkpoint)
    assert given.conf_threshold == 0.125


@pytest.mark.parametrize("damaged", ["abc", None, 3, math.nan, 1.5, [0.5, 0.5]])
def test_damaged_thresholds_of_a_checkpoint_are_named(damaged) -> None:
    with pytest.raises(CheckpointError, match="conf_threshold in the checkpoint: expected 1 numbers from 0 to 1, got"):
        build().on_load_checkpoint({"conf_threshold": damaged})


def test_a_test_measures_at_the_threshold_of_the_model(trained) -> None:
    model, *_ = trained
    kept, model.chosen_threshold = model.chosen_threshold, 0.99
    [high] = quiet_trainer().test(model, loader(16, first=100), verbose=False)
    model.chosen_threshold = kept
    [low] = quiet_trainer().test(model, loader(16, first=100), verbose=False)
    assert high["test/map"] == low["test/map"]
    assert high["test/recall"] < low["test/recall"]
    assert high["test/conf_threshold"] == pytest.approx(0.99)
    assert model.chosen_threshold == kept
    assert low["test/map_class_nms"] >= low["test/map"] - 0.05


def test_results_have_classes_sizes_curves_and_the_worst_images(trained) -> None:
    model, *_ = trained
    quiet_trainer().test(model, loader(8, first=100), verbose=False)
    tables = without_nan(model.result_tables())
    assert [row[0] for row in tables["class_ap"]] == ["class", *NAMES]
    assert [row[0] for row in tables["size_ap"]] == ["size of the objects", "small", "medium", "large"]
    assert tables["size_ap"][-1] == ["large", None]
    assert list(model.result_pictures()) == ["precision_recall"]
    assert model.confusion_classes == [*NAMES, "background"]
    assert model.confusion_matrix.compute()[:2].sum() == 2 * 6


@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_a_validation_does_not_depend_on_the_batch_size(trained, batch_size) -> None:
    model, *_ = trained
    [one] = quiet_trainer().validate(model, loader(16, 4, first=100), verbose=False)
    [other] = quiet_trainer().validate(model, loader(16, batch_size, first=100), verbose=False)
    assert other == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_batches_without_objects_end_nothing(precision) -> None:
    nothing = box_target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), (32, 64))
    empty = [(scene(number)[0], nothing) for number in range(6)]
    data = DataLoader(empty, 3, collate_fn=collate)
    model = build()
    run = quiet_trainer(precision=precision)
    run.fit(model, data, data)
    assert math.isfinite(run.callback_metrics["train/loss"])
    assert math.isfinite(run.callback_metrics["val/loss"])
    assert math.isnan(run.callback_metrics["val/map"])
    assert model.conf_threshold == 0.5


def test_a_compiled_network_gives_the_same_loss() -> None:
    images, targets = collate([scene(number) for number in range(4)])

    class Unused:
        def update(self, *_):
            pass

    losses = []
    for compiled in (False, True):
        model = build()
        if compiled:
            model.network.compile(backend="aot_eager", fullgraph=True)
        loss = model.update_loss(Unused(), model(images), targets, training=True)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def gradients(images, targets):
    class Unused:
        def update(self, *_):
            pass

    model = build().eval()
    model.update_loss(Unused(), model(images), targets, training=True).backward()
    return [parameter.grad for parameter in model.parameters()]


def on_one_rank(images, targets):
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    part = gradients(images[rank::ranks], {name: values[rank::ranks] for name, values in targets.items()})
    for gradient in part:  # as DistributedDataParallel does
        torch.distributed.all_reduce(gradient)
    return [gradient / ranks for gradient in part]


def test_two_processes_have_the_gradient_of_one() -> None:
    images, targets = collate([scene(number) for number in (0, 1, 4, 2)])  # all objects are on the second rank
    whole = gradients(images, targets)
    for part in on_ranks(on_one_rank, images, dict(targets)):
        for one, other in zip(part, whole, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("objects", [6, 100])
def test_the_loss_costs_little_beside_the_network(objects) -> None:
    torch.manual_seed(0)
    model = DetectionModel("resnet10t", num_classes=10, input_size=(160, 160))
    corners = torch.rand(8, objects, 2) * 110
    targets = {
        "boxes": torch.cat([corners, corners + 10 + 40 * torch.rand_like(corners)], -1),
        "labels": torch.randint(10, (8, objects)),
        "crowd": torch.zeros(8, objects, dtype=torch.bool),
    }
    images, unused = torch.randn(8, 3, 160, 160), WeightedMeanLoss()

    def seconds(step):
        start = time.process_time()
        step()
        return time.process_time() - start

    def bare():
        sum(maps.sum() for maps in model(images)).backward()

    def whole():
        model.update_loss(unused, model(images), targets, training=True).backward()

    pairs = [(seconds(bare), seconds(whole)) for _ in range(6)][1:]
    assert min(one for _, one in pairs) < 1.35 * min(one for one, _ in pairs)
