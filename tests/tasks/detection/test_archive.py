"""The head of an NN Archive for detection."""

import pytest

from cuelight.tasks.detection.archive import archive_head, output_names
from cuelight.tasks.lookup import head_problems

NAMES = output_names(3)
DECODING = {"strides": (8, 16, 32), "conf_threshold": 0.4, "iou_threshold": 0.5, "max_det": 100}
SHAPES = {name: (1, 7, size, size) for name, size in zip(NAMES, (16, 8, 4), strict=True)}


def test_the_head_has_what_the_parser_reads() -> None:
    assert archive_head(["ant", "bee"], NAMES, DECODING) == {
        "parser": "YOLO",
        "outputs": ["output1_yolov6r2", "output2_yolov6r2", "output3_yolov6r2"],
        "metadata": {
            "classes": ["ant", "bee"],
            "n_classes": 2,
            "subtype": "yolov6r2",
            "yolo_outputs": ["output1_yolov6r2", "output2_yolov6r2", "output3_yolov6r2"],
            "strides": [8, 16, 32],
            "conf_threshold": 0.4,
            "iou_threshold": 0.5,
            "max_det": 100,
        },
    }


@pytest.mark.parametrize("count", [1, 9, 10, 11])
def test_names_sort_as_text_in_the_order_of_the_strides(count) -> None:
    names = output_names(count)
    assert sorted(names) == names
    assert len(set(names)) == count


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (SHAPES, []),
        (
            {**SHAPES, NAMES[1]: (1, 8, 8, 8)},
            ["n_classes is 2, so output2_yolov6r2 needs 7 channels, got [1, 8, 8, 8]"],
        ),
        (dict([*SHAPES.items()][:2]), ["there are 3 strides for 2 outputs, output1_yolov6r2, output2_yolov6r2"]),
        (
            dict([*SHAPES.items()][::-1]),
            ["YOLO reads the outputs in the order of their names, got " + ", ".join(NAMES[::-1])],
        ),
    ],
)
def test_a_head_that_does_not_fit_its_outputs_is_refused(shapes, said) -> None:
    assert head_problems(archive_head(["ant", "bee"], NAMES, DECODING), shapes) == said


def test_other_names_of_outputs_are_refused() -> None:
    shapes = {"boxes1": (1, 7, 4, 4)}
    found = head_problems(archive_head(["ant", "bee"], ["boxes1"], DECODING | {"strides": (8,)}), shapes)
    assert found == ["YOLO takes outputs with yolo in their names, got boxes1"]
