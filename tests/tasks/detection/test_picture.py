"""Pictures of boxes."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from cuelight.tasks.detection.curves import Curves, draw_curves
from cuelight.tasks.detection.decode import Candidates, Detections
from cuelight.tasks.detection.examples import draw_detection_examples
from cuelight.tasks.detection.matching import match
from cuelight.tasks.detection.metrics import Objects
from cuelight.tasks.detection.picture import color_of, draw_detections

RED, BLUE, GREY = (ImageColor.getrgb(color) for color in ("#ff4455", "#55bbee", "#aaaaaa"))


def detections(*boxes):
    table = np.array(boxes, np.float32).reshape(-1, 6)
    return Detections(Candidates(table[:, :4], table[:, 4], table[:, 5].astype(np.int64)), ("ant", "bee"))


def colors(image):
    return {color for _, color in image.getcolors(image.width * image.height)}


@pytest.mark.parametrize("size", [(40, 30), (2000, 500), (1, 1)])
def test_a_box_is_drawn_in_the_color_of_its_class(size) -> None:
    width, height = size
    result = detections([0, 0, width, height, 0.5, 1])
    picture = draw_detections(Image.new("RGB", size), result)
    assert ImageColor.getrgb(color_of(1)) in colors(picture)
    assert picture.getpixel((0, picture.height - 1)) == ImageColor.getrgb(color_of(1))
    assert ImageColor.getrgb(color_of(0)) not in colors(picture)


def test_an_image_without_boxes_stays_as_it_is() -> None:
    picture = draw_detections(Image.new("L", (320, 200), 7), detections())
    assert colors(picture) == {(7, 7, 7)}


def test_examples_show_misses_and_false_alarms() -> None:
    image = Image.new("RGB", (320, 320))
    target = {
        "boxes": np.array([[20, 40, 80, 100], [200, 200, 260, 260], [100, 100, 180, 180], [0, 0, 0, 0]], np.float32),
        "labels": np.array([0, 1, 1, -1]),
        "crowd": np.array([False, False, True, False]),
    }
    result = detections([20, 40, 80, 100, 0.9, 0], [250, 20, 300, 60, 0.8, 1], [110, 110, 170, 170, 0.7, 1])
    picture = draw_detection_examples([image, image], [target, target], [result, detections()])
    truth, prediction = (picture.crop((left, 30, left + 320, 340)) for left in (0, 324))
    assert {RED, BLUE, GREY} <= colors(truth)
    assert {RED, BLUE, GREY} <= colors(prediction)
    second = picture.crop((668, 30, 988, 340))
    assert BLUE not in colors(second)  # nothing was found
    assert RED in colors(second)


def test_curves_are_drawn_also_of_classes_without_objects() -> None:
    true = Objects(np.array([[0, 0, 9, 9]], np.float32), np.array([0]), np.array([False]))
    found = detections([0, 0, 9, 9, 0.9, 0], [20, 0, 29, 9, 0.3, 1]).found
    curves = Curves.of([(found, true)], [match(found, true)], 2)
    picture = draw_curves(curves, ["ant", "bee"], 0.5)
    assert picture.mode == "RGB"
    assert len(colors(picture)) > 10
    empty = Curves.of([], [], 2)
    assert draw_curves(empty, ["ant", "bee"], 0.5).size == picture.size
