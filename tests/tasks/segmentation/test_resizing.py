"""A mask lies where its image has what it shows."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.segmentation.decode import UNSEEN, decode_segmentation, resize_mask

MODES = ["stretch", "crop", "letterbox"]


@pytest.fixture(scope="module")
def photograph():
    """A cat, 451 x 300."""
    return Image.open(Path(find_spec("skimage").submodule_search_locations[0], "data", "chelsea.png")).convert("L")


def bright_parts(image, size, resize):
    """The mask that a model gives which sees brightness, brought back to the image."""
    preprocessing = Preprocessing(size=size, mean=(0.5,), std=(0.25,), color="GRAY", resize=resize)
    seen = tensors.prepare(preprocessing, image).numpy()
    [result] = decode_segmentation({"logits": np.concatenate([-seen, seen])[None]})
    return resize_mask(result, preprocessing, image.size)


@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [(96, 96), (80, 128), (131, 77)])
def test_masks_of_a_photograph_lie_on_it(photograph, resize, turned, size) -> None:
    image = photograph.transpose(Image.Transpose.ROTATE_90) if turned else photograph
    result = bright_parts(image, size, resize)
    assert result.mask.shape == result.scores.shape == (image.height, image.width)
    bright, seen = np.asarray(image) > 127, result.mask != UNSEEN

    def agreement(down, right):
        moved = np.roll(bright, (down, right), (0, 1))
        return (result.mask == moved)[seen].mean()

    assert agreement(0, 0) > 0.88
    around = [(down, right) for down in (-3, 0, 3) for right in (-3, 0, 3) if (down, right) != (0, 0)]
    assert agreement(0, 0) > max(agreement(*move) for move in around)


@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize("image_size", [(200, 100), (101, 333), (640, 480), (7, 5), (31, 32)])
@pytest.mark.parametrize("size", [(64, 64), (33, 65)])
def test_every_pixel_comes_from_where_the_model_saw_it(resize, image_size, size) -> None:
    width, height = image_size
    preprocessing = Preprocessing(size=size, mean=(0.0,), std=(1.0,), color="GRAY", resize=resize)
    scaled_height, scaled_width = preprocessing.scaled_size(height, width)
    for axis, (length, scaled) in enumerate([(height, scaled_height), (width, scaled_width)]):
        ramp = np.linspace(0, 1, length, dtype=np.float32)
        ramp = np.broadcast_to(ramp[:, None] if axis == 0 else ramp, (height, width))
        shown = tensors.fit(preprocessing, Image.fromarray((ramp * 255).round().astype(np.uint8))).numpy()[0]
        [result] = decode_segmentation({"logits": np.zeros((1, 2, *size), np.float32)})
        placed = resize_mask(type(result)(result.mask, shown.astype(np.float32), ("a", "b")), preprocessing, image_size)
        seen = placed.mask != UNSEEN
        error = np.abs(placed.scores / 255 - ramp)[seen]
        assert error.max() <= 1.01 / scaled + 1.01 / length + 2 / 255
        assert np.abs(np.mean((placed.scores / 255 - ramp)[seen])) <= 0.3 / scaled + 1 / 255  # not to one side


def test_what_a_crop_cuts_off_is_unseen(photograph) -> None:
    result = bright_parts(photograph, (96, 96), "crop")
    columns = (result.mask == UNSEEN).all(axis=0)
    assert (result.mask == UNSEEN).mean() == pytest.approx(1 - 300 / 451, abs=0.01)
    assert columns[:75].all()
    assert columns[-75:].all()
    assert not columns[80:-80].any()
    assert sum(area.share for area in result.areas) == pytest.approx(1)


def test_the_bars_of_a_letterbox_are_not_counted() -> None:
    result = bright_parts(Image.new("L", (200, 50), 255), (64, 64), "letterbox")
    assert [area.share for area in result.areas if area.name == "1"] == [1.0]
