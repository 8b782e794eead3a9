"""Pictures of labels, and of the worst mistakes."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from cuelight.tasks.multilabel.decode import decode_multilabel
from cuelight.tasks.multilabel.examples import draw_wrong_labels, rank_mistakes
from cuelight.tasks.multilabel.picture import draw_labels

BLUE, GREY = ImageColor.getrgb("#2563eb"), ImageColor.getrgb("#94a3b8")


def labels(*scores, names=None):
    outputs = {"probabilities": np.array([scores], np.float32)}
    return decode_multilabel(outputs, names, {"thresholds": [0.5] * len(scores)})[0]


def pixels(picture, color):
    return sum(count for count, one in picture.getcolors(picture.width * picture.height) if one == color)


@pytest.mark.parametrize("size", [(40, 30), (2000, 500), (1, 1)])
@pytest.mark.parametrize("scores", [(0.9, 0.8, 0.2), (0.1, 0.2, 0.3), (0.9,), (0.9,) * 30])
def test_bars_of_present_classes_are_in_color(size, scores) -> None:
    picture = draw_labels(Image.new("RGB", size), labels(*scores))
    present = sum(score >= 0.5 for score in scores)
    assert (pixels(picture, BLUE) > 0) == (present > 0)
    assert (pixels(picture, GREY) > 0) == (present < min(3, len(scores)))
    assert picture.width >= 320


def test_the_number_of_bars_is_limited() -> None:
    heights = [draw_labels(Image.new("RGB", (320, 100)), labels(*[0.9] * count)).height for count in (1, 3, 12, 60)]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_the_worst_mistakes_have_the_largest_rank() -> None:
    right = rank_mistakes(np.array([1, 0, -1]), labels(0.9, 0.1, 0.7))
    missed = rank_mistakes(np.array([1, 0, 0]), labels(0.2, 0.1, 0.1))
    both = rank_mistakes(np.array([1, 0, 0]), labels(0.2, 0.9, 0.1))
    assert right is None
    assert missed == pytest.approx(0.8)
    assert both == pytest.approx(1.7)


def test_mistakes_are_drawn_below_their_images() -> None:
    images = [Image.new("RGB", (64, 48), color) for color in ("red", "green")]
    targets = [np.array([1, 0, 0]), np.array([0, 1, -1])]
    results = [labels(0.2, 0.9, 0.7), labels(0.1, 0.3, 0.9)]
    whole = draw_wrong_labels(images, targets, results)
    one = draw_wrong_labels(images[:1], targets[:1], results[:1])
    assert whole.width > one.width / 2
    assert pixels(whole, (255, 0, 0)) == pixels(one, (255, 0, 0)) > 0
    assert whole.tobytes() != draw_wrong_labels(images, targets[::-1], results).tobytes()
