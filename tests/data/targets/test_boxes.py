"""What a transform does to an image it does to its boxes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cuelight.config import Part
from cuelight.data.loading.transforms import build_augmentation
from cuelight.data.targets.boxes import BOXES, Boxes, BoxTarget, box_target
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing
from cuelight.registry.builtins import TRANSFORMS
from support.box_scenes import overlapping_scene

# Each with how many pixels a box may be larger than what is seen in it, on each side.
GEOMETRIC = {
    "CenterCrop": ({"size": [60, 140]}, 0),
    "ElasticTransform": ({"alpha": 30.0}, 8),
    "Pad": ({"padding": [3, 9]}, 0),
    "RandomAffine": ({"degrees": 0, "translate": [0.2, 0.2], "scale": [0.6, 1.4]}, 1.5),
    "RandomCrop": ({"size": [90, 110], "padding": 20}, 0),
    "RandomHorizontalFlip": ({"p": 1.0}, 0),
    "RandomPerspective": ({"p": 1.0, "distortion_scale": 0.2}, 8),
    "RandomResize": ({"min_size": 40, "max_size": 70}, 1),
    "RandomResizedCrop": ({"size": [50, 40]}, 1),
    "RandomRotation": ({"degrees": [90, 90], "expand": True}, 1),
    "RandomShortestSize": ({"min_size": 35}, 1),
    "RandomVerticalFlip": ({"p": 1.0}, 0),
    "RandomZoomOut": ({"p": 1.0}, 0),
    "Resize": ({"size": [41, 37]}, 1),
}


def _scene(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (100, 120)) -> tuple[Tensor, BoxTarget]:
    """Return a black image in which objects are red, green and blue."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes):
        image[number, top:bottom, left:right] = 255
    return image, box_target(torch.tensor(boxes), torch.arange(len(boxes)), size)


def _seen(image: Tensor, label: int) -> Tensor:
    """Return the extent of an object by its pixels."""
    rows, columns = torch.nonzero(image[label] > 127, as_tuple=True)
    return torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


@pytest.mark.parametrize("name", GEOMETRIC)
def test_boxes_stay_around_their_objects(name: str) -> None:
    params, tolerance = GEOMETRIC[name]
    image, target = _scene((20, 15, 60, 45), (70, 50, 110, 90))
    augmentation = build_augmentation([Part(name=name, params=params)])
    found = 0
    for seed in range(4):
        torch.manual_seed(seed)
        changed, moved = Boxes(min_visible=0.5).augment(augmentation, image, target)
        assert moved["boxes"].canvas_size == tuple(changed.shape[1:])
        for box, label in zip(moved["boxes"], moved["labels"].tolist(), strict=True):
            assert (box.as_subclass(Tensor) - _seen(changed, label)).abs().max() <= tolerance
            found += 1
    assert found >= 4


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(64, 64), (50, 90), (200, 100)])
def test_boxes_are_fitted_like_their_image(resize: str, size: tuple[int, int]) -> None:
    image, target = _scene((20, 15, 60, 45), (70, 50, 110, 90))
    preprocessing = Preprocessing(size=size, resize=resize)
    fitted, moved = tensors.fit(preprocessing, image), BOXES.fit(target, preprocessing)

    assert moved["labels"].tolist() == [0, 1]
    for box, label in zip(moved["boxes"], (0, 1), strict=True):
        assert (box.as_subclass(Tensor) - _seen(fitted, label)).abs().max() <= 1


def test_a_box_that_is_cut_off_is_clipped_or_dropped() -> None:
    image, target = _scene((0, 0, 40, 40), (50, 20, 90, 60))
    target["crowd"] = torch.tensor([True, False])
    crop = build_augmentation([Part(name="CenterCrop", params={"size": [80, 50]})])  # from 35, 10 to 85, 90

    _, moved = Boxes(min_visible=0.8).augment(crop, image, target)
    assert moved["boxes"].tolist() == [[0, 0, 5, 30], [15, 10, 50, 50]]  # 9 % of a region to ignore, 87.5 %

    _, moved = Boxes(min_visible=0.9).augment(crop, image, target)
    assert (moved["labels"].tolist(), moved["crowd"].tolist()) == ([0], [True])

    target["crowd"][:] = False
    _, moved = Boxes(min_visible=0.5).augment(crop, image, target)
    assert moved["labels"].tolist() == [1]


def test_what_was_cut_off_does_not_come_back_by_a_later_transform() -> None:
    image, target = _scene((20, 20, 80, 80))
    crop_and_pad = [
        Part(name="CenterCrop", params={"size": [40, 40]}),  # from 40, 30 to 80, 70
        Part(name="Pad", params={"padding": 50}),
    ]
    changed, moved = BOXES.augment(build_augmentation(crop_and_pad), image, target)

    assert moved["boxes"].tolist() == [[50, 50, 90, 90]] == [_seen(changed, 0).tolist()]


def test_boxes_out_of_sight_leave_an_image_without_boxes() -> None:
    image, target = _scene((0, 0, 10, 10))
    crop = build_augmentation([Part(name="CenterCrop", params={"size": [20, 20]})])

    _, moved = Boxes(min_visible=0).augment(crop, image, target)
    assert moved["boxes"].shape == (0, 4)
    empty = box_target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), (100, 120))
    assert BOXES.augment(crop, image, empty)[1]["boxes"].shape == (0, 4)
    assert BOXES.fit(empty, Preprocessing(size=(20, 20)))["boxes"].shape == (0, 4)


def test_a_batch_is_padded() -> None:
    (_, one), (_, two), (_, none) = _scene((1, 2, 3, 4)), _scene((5, 6, 7, 8), (0, 0, 9, 9)), _scene()
    batch = BOXES.collate([one, two, none])

    assert batch["boxes"].tolist() == [[[1, 2, 3, 4], [0] * 4], [[5, 6, 7, 8], [0, 0, 9, 9]], [[0] * 4, [0] * 4]]
    assert batch["labels"].tolist() == [[0, -1], [0, 1], [-1, -1]]
    assert {name: (type(value), value.dtype) for name, value in batch.items()} == {
        "boxes": (Tensor, torch.float32),
        "labels": (Tensor, torch.int64),
        "crowd": (Tensor, torch.bool),
    }
    assert BOXES.collate([none])["boxes"].shape == (1, 1, 4)
    assert BOXES.collate([])["boxes"].shape == (0, 1, 4)


def test_transforms_of_images_alone_are_refused() -> None:
    parts = [Part(name=name) for name in ("RandomInvert", "AugMix", "RandomErasing", "TrivialAugmentWide")]
    problems = [str(problem) for problem in BOXES.transform_problems(parts, "t")]

    assert [problem.partition(" ")[0] for problem in problems] == ["t.1.name:", "t.2.name:", "t.3.name:"]
    assert all("but not its boxes" in problem for problem in problems)


def test_every_other_transform_takes_boxes() -> None:
    image, target = overlapping_scene(0)
    needs = {
        **{name: params for name, (params, _) in GEOMETRIC.items()},
        "ColorJitter": {}, "GaussianBlur": {"kernel_size": 3}, "GaussianNoise": {},
        "Grayscale": {"num_output_channels": 3}, "JPEG": {"quality": 50},
        "RandomAdjustSharpness": {"sharpness_factor": 2}, "RandomPosterize": {"bits": 4},
        "RandomSolarize": {"threshold": 90},
    }  # fmt: skip
    for name in TRANSFORMS:
        part = Part(name=name, params=needs.get(name, {}))
        if BOXES.transform_problems([part], ""):
            continue
        changed, moved = Boxes(0).augment(build_augmentation([part]), image, target)
        assert len(moved["labels"]) > 0, name
        assert moved["boxes"].canvas_size == tuple(changed.shape[1:]), name
        assert name in GEOMETRIC or torch.equal(moved["boxes"], target["boxes"]), name
