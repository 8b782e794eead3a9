"""Outputs become boxes with points."""

import json

import numpy as np
import pytest
from PIL import Image

from cuelight.errors import CuelightError
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.detection.decode import resize_boxes
from cuelight.tasks.keypoints.decode import decode_keypoints
from cuelight.tasks.keypoints.examples import draw_keypoint_examples
from cuelight.tasks.keypoints.picture import draw_keypoints

DECODING = {
    "strides": [8, 16],
    "conf_threshold": 0.3,
    "iou_threshold": 0.5,
    "max_det": 10,
    "keypoint_label_names": ["head", "tail"],
    "skeleton_edges": [[0, 1]],
}
PLACES = [[20.0, 12.0], [70.0, 28.0]]


def outputs(places=PLACES, logits=(3.0, -3.0), images=1):
    """One object in an image of 32 x 64, found by the cell in the third row and column."""
    boxes = [np.zeros((images, 6, 4, 8), np.float32), np.zeros((images, 6, 2, 4), np.float32)]
    boxes[0][:, :4, 2, 2] = 1.5
    boxes[0][:, 4:, 2, 2] = 0.9
    points = [np.zeros((images, 6, 32), np.float32), np.zeros((images, 6, 8), np.float32)]
    points[0][:, :, 2 * 8 + 2] = [
        value for place, logit in zip(places, logits, strict=True) for value in (*place, logit)
    ]
    return dict(zip(["output1", "output2", "kpt_output1", "kpt_output2"], [*boxes, *points], strict=True))


def test_points_belong_to_the_cell_of_their_box_and_are_clipped() -> None:
    [one] = decode_keypoints(outputs(), ["bar"], DECODING)
    assert one.found.boxes.tolist() == [[8, 8, 32, 32]]
    assert one.found.points[0, :, :2].tolist() == [[20, 12], [64, 28]]
    np.testing.assert_allclose(one.found.points[0, :, 2], [0.9526, 0.0474], atol=1e-4)
    assert len(decode_keypoints(outputs(images=3), ["bar"], DECODING)) == 3


def test_nothing_found_has_no_points() -> None:
    [one] = decode_keypoints(outputs(), None, DECODING | {"conf_threshold": 0.95})
    assert one.found.points.shape == (0, 2, 3)
    assert one.details() == {"objects": []}
    assert one.coco(1) == []
    assert resize_boxes(one, Preprocessing((32, 64)), (100, 50)).found.points.shape == (0, 2, 3)


def test_details_name_the_points() -> None:
    [one] = decode_keypoints(outputs(), ["bar"], DECODING)
    [entry] = json.loads(json.dumps(one.details()))["objects"]
    assert (entry["class"], entry["box"]) == ("bar", [8, 8, 32, 32])
    assert [point["name"] for point in entry["points"]] == ["head", "tail"]
    assert (entry["points"][0]["x"], entry["points"][0]["y"]) == (20, 12)
    [entry] = json.loads(json.dumps(one.coco("a")))
    assert entry["bbox"] == [8, 8, 24, 24]
    assert entry["keypoints"][:2] == [20, 12]
    assert len(entry["keypoints"]) == 6


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_points_are_moved_to_the_image(resize) -> None:
    [one] = decode_keypoints(outputs([[20.0, 12.0], [40.0, 28.0]]), ["bar"], DECODING)
    preprocessing = Preprocessing((32, 64), resize=resize)
    moved = resize_boxes(one, preprocessing, (120, 40)).found
    # The box goes from 8, 8 to 32, 32: points keep their place in it unless it is cut.
    box, points = moved.boxes[0], moved.points[0, :, :2]
    if resize == "stretch":
        np.testing.assert_allclose(box, [15, 10, 60, 40], atol=1e-4)
        np.testing.assert_allclose(points, [[37.5, 15], [75, 35]], atol=1e-4)
    else:
        assert (points[0] >= 0).all()
        assert (points <= [120, 40]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda maps: maps.pop("kpt_output2"), "expected outputs of the shapes"),
        (lambda maps: maps.update(kpt_output1=np.zeros((1, 9, 32), np.float32)), r"got \(1, 9, 32\)"),
        (lambda maps: maps.update(kpt_output1=np.zeros((1, 6, 4, 8), np.float32)), r"got \(1, 6, 4, 8\)"),
        (lambda maps: maps.update(kpt_output1=np.full((1, 6, 32), np.nan, np.float32)), "contain NaN or infinity"),
        (lambda maps: maps.pop("output2"), "expected 2 outputs"),
    ],
)
def test_other_outputs_are_refused(change, said) -> None:
    maps = outputs()
    change(maps)
    with pytest.raises(CuelightError, match=said):
        decode_keypoints(maps, ["bar"], DECODING)


def test_pictures_show_points_and_lines() -> None:
    image = Image.new("RGB", (64, 32))
    [one] = decode_keypoints(outputs([[20.0, 12.0], [40.0, 12.0]]), ["bar"], DECODING)
    picture = draw_keypoints(image, one)
    scale = picture.width / 64
    pixels = {place: picture.getpixel((round(place * scale), round(12 * scale))) for place in (20, 26, 40)}
    assert pixels[26] == (255, 255, 255)  # the line
    assert pixels[20] != (0, 0, 0)  # a visible point is filled, a hidden one a ring
    [none] = decode_keypoints(outputs(), ["bar"], DECODING | {"conf_threshold": 0.95})
    assert not draw_keypoints(image, none).getbbox()


def test_examples_show_truth_and_prediction() -> None:
    results = decode_keypoints(outputs([[20.0, 12.0], [40.0, 12.0]], images=2), ["bar"], DECODING)
    target = {
        "boxes": np.array([[8, 8, 32, 32], [0, 0, 0, 0]], np.float32),
        "labels": np.array([0, -1]),
        "crowd": np.zeros(2, bool),
        "points": np.array([[[20, 12], [0, 0]], [[0, 0], [0, 0]]], np.float32),
        "visibility": np.array([[1, 0], [0, 0]]),
    }
    nothing = target | {"labels": np.array([-1, -1])}
    images = [Image.new("RGB", (64, 32))] * 2
    one, other = (draw_keypoint_examples(images, [each, target], results) for each in (target, nothing))
    assert one.size == other.size
    assert one.tobytes() != other.tobytes()
