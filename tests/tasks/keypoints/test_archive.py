"""The head of an NN Archive for keypoints."""

import pytest

from cuelight.tasks.keypoints.archive import keypoint_head, keypoint_output_names
from cuelight.tasks.lookup import head_problems

NAMES = keypoint_output_names(2)
DECODING = {
    "strides": (8, 16),
    "conf_threshold": 0.4,
    "iou_threshold": 0.5,
    "max_det": 100,
    "keypoint_label_names": ("head", "tail"),
    "skeleton_edges": ((0, 1),),
}
SHAPES = dict(zip(NAMES, [(1, 7, 8, 8), (1, 7, 4, 4), (1, 6, 64), (1, 6, 16)], strict=True))


def test_the_head_has_what_the_parser_reads() -> None:
    head = keypoint_head(["ant", "bee"], NAMES, DECODING)
    assert head["parser"] == "YOLOExtendedParser"
    assert head["outputs"] == NAMES == ["output1_yolov6r2", "output2_yolov6r2", "kpt_output1", "kpt_output2"]
    metadata = head["metadata"]
    assert metadata["yolo_outputs"] == NAMES[:2]
    assert metadata["keypoints_outputs"] == NAMES[2:]
    assert metadata["n_keypoints"] == 2
    assert metadata["keypoint_label_names"] == ["head", "tail"]
    assert (metadata["n_classes"], metadata["subtype"], metadata["strides"]) == (2, "yolov6r2", [8, 16])


@pytest.mark.parametrize("count", [1, 9, 10, 11])
def test_names_sort_as_text_in_the_order_of_the_strides(count) -> None:
    names = keypoint_output_names(count)
    for kind in (names[:count], names[count:]):
        assert sorted(kind) == kind
        assert len(set(kind)) == count


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (SHAPES, []),
        ({**SHAPES, NAMES[3]: (1, 9, 16)}, ["n_keypoints is 2, so kpt_output2 needs 6 channels, got [1, 9, 16]"]),
        (
            {**SHAPES, NAMES[0]: (1, 8, 8, 8)},
            ["n_classes is 2, so output1_yolov6r2 needs 7 channels, got [1, 8, 8, 8]"],
        ),
        (dict([*SHAPES.items()][:3]), ["there are 1 outputs with kpt_output in their names for 2 of boxes"]),
    ],
)
def test_a_head_that_does_not_fit_its_outputs(shapes, said) -> None:
    assert head_problems(keypoint_head(["ant", "bee"], NAMES, DECODING), shapes) == said
