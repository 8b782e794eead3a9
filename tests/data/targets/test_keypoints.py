"""What a transform does to an image it does to its points."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cuelight.config import Part
from cuelight.data.loading.transforms import build_augmentation
from cuelight.data.skeleton import Skeleton
from cuelight.data.targets.box_mixing import BoxMixing
from cuelight.data.targets.keypoints import Keypoints, keypoint_target
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing

# The pixels by which a point may be away from what it marks.
GEOMETRIC = {
    "CenterCrop": ({"size": [60, 140]}, 0.01),
    "ElasticTransform": ({"alpha": 30.0}, 2),
    "Pad": ({"padding": [3, 9]}, 0.01),
    "RandomAffine": ({"degrees": 30, "translate": [0.1, 0.1], "scale": [0.7, 1.4], "shear": 10}, 1),
    "RandomCrop": ({"size": [90, 110], "padding": 20}, 0.01),
    "RandomHorizontalFlip": ({"p": 1.0}, 0.01),
    "RandomPerspective": ({"p": 1.0, "distortion_scale": 0.2}, 1),
    "RandomResize": ({"min_size": 40, "max_size": 70}, 0.5),
    "RandomResizedCrop": ({"size": [50, 40]}, 0.8),
    "RandomRotation": ({"degrees": [90, 90], "expand": True}, 1),
    "RandomShortestSize": ({"min_size": 35}, 0.7),
    "RandomVerticalFlip": ({"p": 1.0}, 0.01),
    "RandomZoomOut": ({"p": 1.0}, 0.01),
    "Resize": ({"size": [41, 37]}, 0.7),
}
MIRRORING = {"RandomHorizontalFlip", "RandomVerticalFlip"}
PLACES = ((30.0, 30.0), (80.0, 30.0), (60.0, 70.0))
KIND = Keypoints(Skeleton(("left", "right", "tail"), flip_pairs=((0, 1),)), min_visible=0.0)


def _scene(size: tuple[int, int] = (100, 120)) -> tuple[Tensor, dict]:
    """Return a black image with squares of 6 pixels in red, green and blue around the three points of an object."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for number, (x, y) in enumerate(PLACES):
        image[number, int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = 255
    points = torch.tensor([[*place, seen] for place, seen in zip(PLACES, (2, 1, 2), strict=True)])[None]
    return image, keypoint_target(torch.tensor([[25.0, 25, 85, 75]]), torch.tensor([3]), points, size)


def _center(image: Tensor, channel: int) -> Tensor:
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in image.shape[1:]), indexing="ij")
    weights = image[channel].float()
    return torch.stack([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


def _augment(name: str, image: Tensor, target: dict, **params) -> tuple[Tensor, dict]:
    return KIND.augment(build_augmentation([Part(name=name, params=params)]), image, target)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_points_stay_on_what_they_mark(name: str) -> None:
    params, tolerance = GEOMETRIC[name]
    image, target = _scene()
    found = 0
    for seed in range(6):
        torch.manual_seed(seed)
        changed, moved = _augment(name, image, target, **params)
        order = (1, 0, 2) if name in MIRRORING else (0, 1, 2)
        for place, channel in enumerate(order):
            seen = moved["visibility"][0, place] if len(moved["labels"]) else 0
            inside = (moved["points"][0, place] > 6).all() if seen else False
            height, width = changed.shape[1:]
            if inside and (moved["points"][0, place] < torch.tensor([width - 6, height - 6])).all():
                assert (moved["points"][0, place] - _center(changed, channel)).abs().max() <= tolerance
                assert seen == (2, 1, 2)[channel]
                found += 1
    assert found >= 6


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(64, 64), (51, 91), (200, 101)])
def test_points_are_fitted_like_their_image(resize: str, size: tuple[int, int]) -> None:
    image, target = _scene()
    preprocessing = Preprocessing(size=size, resize=resize)
    fitted, moved = tensors.fit(preprocessing, image), KIND.fit(target, preprocessing)
    for channel in range(3):
        if moved["visibility"][0, channel]:
            assert (moved["points"][0, channel] - _center(fitted, channel)).abs().max() <= 1


def test_two_mirrored_images_are_none() -> None:
    image, target = _scene()
    both = [Part(name="RandomHorizontalFlip", params={"p": 1.0}), Part(name="RandomVerticalFlip", params={"p": 1.0})]
    _, turned = KIND.augment(build_augmentation(both), image, target)
    assert torch.equal(turned["points"][0], torch.tensor([120.0, 100.0]) - torch.tensor(PLACES))
    assert turned["visibility"].tolist() == target["visibility"].tolist()


def test_a_point_that_is_cut_off_is_not_labelled() -> None:
    image, target = _scene()
    _, moved = _augment("CenterCrop", image, target, size=[100, 60])  # from 30 to 90
    assert moved["visibility"].tolist() == [[2, 1, 2]]
    _, moved = _augment("CenterCrop", image, target, size=[100, 58])
    assert moved["visibility"].tolist() == [[0, 1, 2]]
    assert moved["points"][0, 0].tolist() == [0, 0]
    assert moved["boxes"][0].tolist() == [0, 25, 54, 75]
    _, back = _augment("Pad", image, moved, padding=30)
    assert back["visibility"].tolist() == [[0, 1, 2]]  # it does not come back


def test_objects_that_are_dropped_take_their_points_with_them() -> None:
    image, target = _scene()
    points = torch.cat([target["points"], target["points"] + 2])
    visibility = torch.cat([target["visibility"], target["visibility"].flip(1)])
    boxes = torch.tensor([[0.0, 0, 20, 20], [25, 25, 85, 75]])
    two = keypoint_target(boxes, torch.tensor([1, 2]), torch.cat([points, visibility[..., None]], -1), (100, 120))
    _, moved = _augment("CenterCrop", image, two, size=[60, 80])
    assert moved["labels"].tolist() == [2]
    assert torch.equal(moved["points"][0], torch.tensor(PLACES) + 2 - torch.tensor([20.0, 20.0]))


def test_batches_are_padded() -> None:
    _, target = _scene()
    nothing = keypoint_target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 3, 3), (100, 120))
    batch = KIND.collate([target, nothing])
    assert batch["labels"].tolist() == [[3], [-1]]
    assert batch["points"].shape == (2, 1, 3, 2)
    assert batch["visibility"].tolist() == [[[2, 1, 2]], [[0, 0, 0]]]
    assert KIND.collate([])["points"].shape == (0, 1, 3, 2)


@pytest.mark.parametrize("name", ["RandomHorizontalFlip", "RandomPerspective", "RandomRotation", "ElasticTransform"])
def test_images_without_objects_are_transformed_too(name: str) -> None:
    image, _ = _scene()
    nothing = keypoint_target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 3, 3), (100, 120))
    params = {"degrees": 10} if name == "RandomRotation" else {}
    _, moved = _augment(name, image, nothing, **params)
    assert moved["points"].shape == (0, 3, 2)


def test_points_are_mixed_with_their_images() -> None:
    mosaic = BoxMixing(KIND, mosaic=1.0, mixup=0.0, plain_epochs=0)
    found = 0
    black = torch.zeros(3, 100, 120, dtype=torch.uint8)
    nothing = keypoint_target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 3, 3), (100, 120))
    for seed in range(8):
        torch.manual_seed(seed)
        image, target = mosaic(_scene(), lambda: (black, nothing))
        height, width = image.shape[1:]
        for points, visibility in zip(target["points"], target["visibility"], strict=True):
            for channel, (x, y) in enumerate(points.tolist()):
                if visibility[channel] and 6 < x < width - 6 and 6 < y < height - 6:
                    assert (points[channel] - _center(image, channel)).abs().max() <= 1
                    found += 1
    assert found > 5
    torch.manual_seed(0)
    _, both = BoxMixing(KIND, 0.0, 1.0, 0)(_scene(), _scene)
    assert both["points"].shape == (2, 3, 2)
