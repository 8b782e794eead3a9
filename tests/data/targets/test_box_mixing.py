from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cuelight.data.targets.box_mixing import BoxMixing, BoxSample
from cuelight.data.targets.boxes import BOXES, box_target

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


def _square(label: int, size: tuple[int, int] = (60, 80)) -> BoxSample:
    """Return an image with one rectangle; its label is the index of its color."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    image[:, 10:50, 20:70] = torch.tensor(COLORS[label], dtype=torch.uint8).view(3, 1, 1)
    return image, box_target(torch.tensor([[20, 10, 70, 50]]), torch.tensor([label]), size)


def test_a_mosaic_shows_four_images_with_their_boxes() -> None:
    mosaic = BoxMixing(BOXES, mosaic=1, mixup=0, plain_epochs=0)
    areas = []
    for seed in range(20):
        torch.manual_seed(seed)
        labels = iter(range(4))
        image, target = mosaic(_square(next(labels)), lambda labels=labels: _square(next(labels)))
        assert image.shape == (3, 60, 80)
        assert image.dtype == torch.uint8
        assert target["boxes"].canvas_size == (60, 80)
        assert set(target["labels"].tolist()) <= {0, 1, 2, 3}
        for box, label in zip(target["boxes"].as_subclass(Tensor), target["labels"].tolist(), strict=True):
            rows, columns = torch.nonzero(
                ((image > 127) == torch.tensor(COLORS[label]).view(3, 1, 1).bool()).all(0), as_tuple=True
            )
            assert abs(box[0] - columns.min()) <= 2
            assert abs(box[3] - rows.max() - 1) <= 2
            areas.append(float((box[2] - box[0]) * (box[3] - box[1])))
    assert len(areas) > 40
    assert max(areas) <= 40 * 50
    assert min(areas) < 500


def test_mixup_is_the_mean_of_two_images_with_the_boxes_of_both() -> None:
    mixup = BoxMixing(BOXES, mosaic=0, mixup=1, plain_epochs=0)
    image, target = mixup(_square(0), lambda: _square(3))

    assert image[:, 30, 40].tolist() == [255, 128, 0]
    assert target["labels"].tolist() == [0, 3]
    assert target["boxes"].shape == (2, 4)


@pytest.mark.parametrize(("mosaic", "mixup", "expected"), [(0.3, 0, 0.9), (0, 0.3, 0.3), (0.3, 0.3, 1.2)])
def test_images_are_mixed_with_their_probability(mosaic: float, mixup: float, expected: float) -> None:
    mixing, drawn = BoxMixing(BOXES, mosaic, mixup, 0), []
    torch.manual_seed(0)
    for _ in range(300):
        mixing(_square(0), lambda: drawn.append(1) or _square(1))

    assert len(drawn) / 300 == pytest.approx(expected, rel=0.2)
