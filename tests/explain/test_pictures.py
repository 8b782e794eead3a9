"""Pictures of heat maps: what they show is what was computed, and people can read it."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from cuelight.explain.overlay import colors, enlarge, is_constant, paint
from cuelight.explain.pictures import ExplainedImage, draw_explanation, draw_grid
from cuelight.images.drawing import BACKGROUND, font, wrapped

GRAY = (229, 233, 240)  # of a tile without a map


def explained(size=(28, 28), heat=None, **texts):
    width, height = size
    image = np.full((height, width, 3), (200, 0, 0), np.uint8)
    shown = np.eye(7, dtype=np.float32) if heat is None else heat
    return ExplainedImage(image, shown, **({"name": "cat", "score": "50.0%"} | texts))


def count(picture, color):
    return int((np.asarray(picture) == color).all(axis=2).sum())


def columns_of(picture, color):
    return np.flatnonzero((np.asarray(picture) == color).all(axis=2).any(axis=0))


# The colors.


def test_the_colors_are_even_to_the_eye() -> None:
    table = colors().astype(float)
    np.testing.assert_array_equal(table, mpl.colormaps["viridis"](range(256), bytes=True)[:, :3])
    brightness = table @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -1).all()  # also in print


@pytest.mark.parametrize(
    ("heat", "constant"),
    [
        (np.zeros((7, 7)), True),
        (np.full((7, 7), 0.3), True),
        (0.3 + 1e-8 * np.random.default_rng(0).random((7, 7)), True),
        (0.3 + 1e-3 * np.random.default_rng(0).random((7, 7)), False),
        (1e-12 * np.random.default_rng(0).random((7, 7)), False),
    ],
)
def test_a_map_is_constant_up_to_rounding(heat, constant) -> None:
    assert is_constant(heat.astype(np.float32)) == constant


def test_a_map_is_enlarged_around_the_same_place_and_from_0_to_its_largest() -> None:
    heat = np.zeros((4, 8), np.float32)
    heat[1, 6] = 0.02
    shares = enlarge(heat, (240, 120))
    assert shares.shape == (120, 240)
    assert shares.min() == 0
    assert 0.99 < shares.max() <= 1
    peak = np.argwhere(shares == shares.max()).mean(axis=0)
    np.testing.assert_allclose(peak, (1.5 * 30, 6.5 * 30), atol=1)
    half = enlarge(np.array([[0.5, 1.0]], np.float32), (80, 40))
    assert half[0, 0] == pytest.approx(0.5, abs=0.07)  # the scale begins at 0, not at the least


def test_more_influence_means_more_color_and_less_of_the_image() -> None:
    image = np.full((2, 2, 3), 255, np.uint8)
    shares = np.array([[0, 0.5], [0.75, 1]], np.float32)
    painted, overlay = paint(shares, image)
    np.testing.assert_array_equal(painted, colors()[(shares * 255).astype(int)])
    covered = (255 - overlay.astype(float)) / (255 - painted + 1e-9)
    assert (np.diff(covered.mean(2).ravel()) > 0).all()
    np.testing.assert_array_equal(image, 255)


def test_the_overlay_has_no_colors_but_those_of_the_map() -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    image[:, 0], image[:, 1] = (255, 0, 0), (76, 76, 76)  # equally bright
    _, overlay = paint(np.zeros((1, 2), np.float32), image)
    np.testing.assert_allclose(overlay[0, 0].astype(int), overlay[0, 1].astype(int), atol=1)


# The picture.


def test_input_map_and_overlay_stand_side_by_side() -> None:
    picture = draw_explanation(explained())
    red = columns_of(picture, (200, 0, 0))
    assert len(red) == 224
    yellow = columns_of(picture, tuple(colors()[255]))
    assert red.max() < yellow.min()
    assert yellow.max() - yellow.min() < 224 + 1
    gray = round(200 * 0.299)
    dark = 0.65 * gray + 0.35 * colors()[0].astype(float)
    right = np.asarray(picture).astype(float)[:, yellow.max() + 6 :]
    assert (np.abs(right - dark).max(axis=2) <= 2).any()


def test_a_small_image_is_enlarged_without_smoothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    picture = np.asarray(draw_explanation(ExplainedImage(image, np.eye(4, dtype=np.float32), "7")))
    large = np.kron(image, np.ones((8, 8, 1), np.uint8))
    top, left = next((row, 14) for row in range(picture.shape[0] - 224) if (picture[row, 14:238] == large[0]).all())
    np.testing.assert_array_equal(picture[top : top + 224, left : left + 224], large)


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (224, 224), (640, 480), (8, 300), (1000, 30), (96, 160)])
@pytest.mark.parametrize("number", [1, 2, 7, 12])
def test_every_size_and_number_fits(size, number) -> None:
    one = explained(size, note="label: dog", right=False)
    picture = draw_grid([one] * number, "title")
    assert picture.width <= 3000
    assert picture.height <= 3000
    edges = np.asarray(picture)
    for edge in (edges[0], edges[-1], edges[:, 0], edges[:, -1]):
        assert (edge == 255).all()
    assert count(picture, (200, 0, 0)) > 0
    assert columns_of(draw_explanation(one), (200, 0, 0)).size > 0


def test_a_grid_is_about_as_wide_as_a_screen() -> None:
    for number in (4, 8, 9, 12):
        picture = draw_grid([explained((224, 224))] * number)
        assert 0.7 < picture.width / picture.height < 2.4


def test_of_many_images_some_are_shown_and_the_others_counted() -> None:
    twelve = draw_grid([explained()] * 12)
    for picture in (draw_grid([explained()] * 20), draw_grid([explained()] * 12, left_out=8)):
        assert picture.size == twelve.size
        assert count(picture, (200, 0, 0)) == count(twelve, (200, 0, 0))
        assert picture.tobytes() != twelve.tobytes()
    assert draw_grid([explained()] * 20).tobytes() == draw_grid([explained()] * 12, left_out=8).tobytes()
    assert draw_grid([explained()] * 20).tobytes() != draw_grid([explained()] * 21).tobytes()


@pytest.mark.parametrize("value", [0.0, 0.7, np.nan, np.inf])
def test_a_map_that_shows_nothing_says_so(value) -> None:
    picture = draw_explanation(explained(heat=np.full((7, 7), value, np.float32)))
    assert count(picture, GRAY) > 0.8 * 224 * 224  # the rest is what it says
    assert count(picture, tuple(colors()[255])) == 0  # no scale either
    gray = round(200 * 0.299)
    assert count(picture, (gray, gray, gray)) + count(picture, (gray - 1,) * 3) > 224 * 200
    other = draw_explanation(explained(heat=np.full((7, 7), 0.1, np.float32)))
    assert other.tobytes() != picture.tobytes()


def test_the_scale_is_that_of_the_map() -> None:
    pictures = [draw_explanation(explained(heat=factor * np.eye(7, dtype=np.float32))) for factor in (1, 0.013)]
    different = (np.asarray(pictures[0]) != np.asarray(pictures[1])).any(axis=2)
    rows, columns = np.nonzero(different)
    assert different.any()
    assert rows.max() - rows.min() < 20  # the number beside the bar, and how long that leaves the bar
    assert columns.min() > 224


def test_what_is_wrong_is_marked() -> None:
    right, wrong, unknown = (draw_explanation(explained(right=right)) for right in (True, False, None))
    assert count(right, (0, 114, 178)) > 50
    assert count(wrong, (213, 94, 0)) > 50
    assert count(unknown, (0, 114, 178)) == count(unknown, (213, 94, 0)) == 0


@pytest.mark.parametrize("name", ["w" * 300, "ein sehr langer Name " * 30, "Größe λ кот\nzwei Zeilen" * 9])
def test_a_long_name_is_cut_and_leaves_room_for_score_and_mark(name) -> None:
    def draw(name):
        return np.asarray(draw_explanation(explained(name=name, right=False, note=name)))

    long, longer = draw(name), draw(name + "more")
    np.testing.assert_array_equal(long, longer)
    mark = np.asarray(draw("cat"))[:, -100:]
    rows = (mark == (213, 94, 0)).all(axis=2).any(axis=1)
    np.testing.assert_array_equal(long[rows, -75:], np.asarray(draw("cat"))[rows, -75:])
    assert (long[:, -14:] == 255).all()


def test_a_title_and_a_foot_are_whole_also_where_there_is_little_room() -> None:
    title = "Grad-CAM of model.encoder.model.blocks.5 (7 x 7), epoch 1, step 329"
    narrow, other = (draw_grid([explained()], title + end) for end in ("", "0"))
    assert narrow.tobytes() != other.tobytes()  # the step is read
    assert narrow.height > draw_grid([explained()], "Grad-CAM").height
    assert draw_grid([explained()] * 12, title).height == draw_grid([explained()] * 12, "Grad-CAM").height
    long = wrapped("word " * 100, font(12), 200, 2)
    assert len(long) == 2
    assert all(font(12).getlength(line) <= 200 for line in long)
    assert long[1].endswith("…")
    assert wrapped("w" * 100 + " end", font(12), 200, 2)[1] == "end"


def test_a_photograph_keeps_its_detail() -> None:
    image = np.asarray(Image.fromarray(photographs.chelsea()).resize((224, 224)))
    picture = draw_explanation(ExplainedImage(image, np.eye(7, dtype=np.float32), "Egyptian cat"))
    shown = np.asarray(picture)
    assert any((shown[row, 14:238] == image[0]).all() for row in range(60))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92, subsampling=0)
    assert len(file.getvalue()) < 200_000


def test_the_background_is_white() -> None:
    assert draw_explanation(explained()).getpixel((0, 0)) == tuple(bytes.fromhex(BACKGROUND[1:]))
