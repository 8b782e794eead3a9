"""The named points of an object."""

import pytest

from cuelight.data.skeleton import Skeleton, pairs_by_name

NAMES = ("nose", "left_eye", "right_eye", "tail")


def test_points_change_places_in_a_mirrored_image() -> None:
    assert Skeleton(NAMES, flip_pairs=((1, 2),)).mirrored == [0, 2, 1, 3]
    assert Skeleton(NAMES).mirrored == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (NAMES, ((1, 2),)),
        (["RightHand", "LeftHand"], ()),  # left and right are parts of words there
        (["hand (Left)", "hand (Right)"], ((0, 1),)),
        (["copyright", "copyleft"], ()),
        (["left"], ()),
    ],
)
def test_pairs_are_found_by_their_names(names, pairs) -> None:
    assert pairs_by_name(names) == pairs


def test_a_skeleton_is_restored_from_plain_values() -> None:
    skeleton = Skeleton(NAMES, ((0, 1), (0, 2)), ((1, 2),))
    assert Skeleton.from_dict(skeleton.to_dict()) == skeleton


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"names": ()}, "at least one point"),
        ({"names": ("a", "a")}, "a different name for each point"),
        ({"edges": ((0, 4),)}, "skeleton: there is no point 4; expected 0 to 3"),
        ({"flip_pairs": ((-1, 2),)}, "flip_pairs: there is no point -1"),
        ({"flip_pairs": ((1, 2), (2, 3))}, "expected each point once, but 2 is in them twice"),
        ({"flip_pairs": ((1, 1),)}, "expected each point once, but 1 is in them twice"),
    ],
)
def test_wrong_skeletons_are_refused(params, said) -> None:
    with pytest.raises(ValueError, match=said):
        Skeleton(**{"names": NAMES} | params)
