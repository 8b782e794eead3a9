"""Pictures of masks."""

import io

import numpy as np
import pytest
from PIL import Image

from cuelight.tasks.segmentation.class_colors import class_colors
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation
from cuelight.tasks.segmentation.examples import draw_segmentation_examples
from cuelight.tasks.segmentation.picture import draw_segmentation, mask_image, tinted

NAMES = ("background", *(f"class {number}" for number in range(1, 30)))


def segmented(mask, names=NAMES):
    mask = np.asarray(mask, np.uint8)
    return Segmentation(mask, np.ones(mask.shape, np.float32), tuple(names))


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (255, 5), (320, 240), (640, 480), (4000, 3000), (5, 2000)])
def test_every_image_becomes_a_readable_picture(size) -> None:
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 1
    picture = draw_segmentation(Image.new("RGB", size, "red"), segmented(mask))
    assert 256 <= picture.width <= 2 * 768 + 8 or height > 20 * width
    assert picture.height <= 1000
    assert np.all(np.asarray(picture) == (255, 0, 0), axis=2).any()


def test_a_small_image_is_enlarged_without_smoothing() -> None:
    image = Image.fromarray(np.eye(4, dtype=np.uint8) * 255)
    picture = np.asarray(draw_segmentation(image, segmented(np.zeros((4, 4)))).convert("L"))
    enlarged = np.kron(np.eye(4) * 255, np.ones((64, 64)))
    np.testing.assert_array_equal(picture[:256, :256], enlarged)
    np.testing.assert_array_equal(picture[:256, 264:520], enlarged)  # background is not tinted


def test_classes_are_tinted_with_their_colors_and_outlined() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5:15] = 3
    shown = np.asarray(tinted(Image.new("RGB", (20, 20), "white"), mask, NAMES), int)
    color = class_colors(NAMES)[3].astype(int)
    assert (shown[0, 0] == 255).all()
    np.testing.assert_allclose(shown[10, 10], 255 + 0.6 * (color - 255), atol=1)
    assert (shown[5, 10] == color).all()


def test_legends_of_any_length_fit() -> None:
    mask = np.arange(30, dtype=np.uint8).repeat(10).reshape(10, 30)
    names = ["background", *(f"{'very ' * number}long {number}" for number in range(29))]
    long = draw_segmentation(Image.new("RGB", (30, 10)), segmented(mask, names))
    short = draw_segmentation(Image.new("RGB", (30, 10)), segmented(np.zeros((10, 30)), names))
    assert long.width == short.width
    assert long.height > short.height + 10 * 24
    assert (np.asarray(long)[short.height :, -8:] == 255).all()  # nothing runs over the edge


def test_masks_are_read_back_by_other_programs() -> None:
    mask = np.array([[0, 1, 29], [UNSEEN, 2, 3]], np.uint8)
    file = io.BytesIO()
    mask_image(segmented(mask)).save(file, "PNG")
    with Image.open(file) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), class_colors(NAMES)[mask])


def simulated(colors, matrix):
    """Colours in OKLab, as someone sees them to whom light means ``matrix @ light``."""
    light = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4) @ np.transpose(matrix)
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.cbrt(light.clip(0, 1) @ np.transpose(cones)) @ np.transpose(lab)


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    ],
    ids=["normal vision", "protanopia", "deuteranopia"],
)
@pytest.mark.parametrize(("count", "least"), [(10, 0.08), (20, 0.03)])
def test_colors_are_told_apart(matrix, count, least) -> None:
    colors = simulated(class_colors(NAMES)[1 : count + 1] / 255, matrix)
    distances = np.linalg.norm(colors[:, None] - colors, axis=2)[~np.eye(count, dtype=bool)]
    assert distances.min() > least


def test_examples_stand_beside_their_truth() -> None:
    images = [Image.new("RGB", (32, 32), color) for color in ("white", "red", "blue")]
    truth = np.zeros((3, 32, 32), np.int64)
    truth[:, :16], truth[:, 20] = 1, -100
    results = [segmented(np.full((32, 32), 2)) for _ in images]
    picture = np.asarray(draw_segmentation_examples(images, truth, results), int)
    colors, white = class_colors(NAMES).astype(int), np.full(3, 255)
    side = 192  # of a panel, under titles of 26
    input_, true, predicted = ((26 + 10, left + 96) for left in (0, side + 4, 2 * (side + 4)))
    assert (picture[input_] == white).all()
    np.testing.assert_allclose(picture[true], white + 0.6 * (colors[1] - white), atol=1)
    np.testing.assert_allclose(picture[predicted], white + 0.6 * (colors[2] - white), atol=1)
