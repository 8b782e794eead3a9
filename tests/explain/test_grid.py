import pytest
import torch

from cuelight.explain.grid import as_maps, mapped_tensor, with_replaced


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((2, 8, 7, 7), (224, 224), (2, 8, 7, 7)),
        ((2, 56, 56, 96), (224, 224), (2, 96, 56, 56)),  # Swin
        ((2, 28, 28, 28), (224, 224), (2, 28, 28, 28)),
        ((2, 8, 24, 3), (96, 96), (2, 8, 24, 3)),  # strides that differ, as in networks for text
        ((2, 196, 8), (224, 224), (2, 8, 14, 14)),
        ((2, 197, 8), (224, 224), (2, 8, 14, 14)),  # a class token
        ((2, 201, 8), (224, 224), (2, 8, 14, 14)),  # and four registers
        ((2, 9, 8), (64, 32), (2, 8, 4, 2)),
        ((2, 209, 8), (250, 200), (2, 8, 16, 13)),  # padded to whole patches
        ((2, 8, 1, 1), (224, 224), None),
        ((2, 10), (224, 224), None),
        ((2, 77, 8), (224, 224), None),  # words
        ((3, 8, 7, 7), (224, 224), None),  # windows, not images
    ],
)
def test_shapes_that_are_maps(shape, size, expected):
    maps = as_maps(torch.zeros(shape), 2, size)
    assert (maps if maps is None else tuple(maps.shape)) == expected


def test_patches_stay_in_their_places():
    tokens = torch.arange(9.0)[None, :, None]
    assert as_maps(tokens, 1, (64, 32))[0, 0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    maps = torch.arange(24.0).view(1, 6, 4, 1)
    assert as_maps(maps, 1, (48, 32))[0, 0, 5].tolist() == [20, 21, 22, 23]


def test_integers_are_no_activation():
    assert as_maps(torch.zeros(2, 8, 7, 7, dtype=torch.long), 2, (224, 224)) is None


def test_the_last_map_of_several_is_shown():
    stages = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 4, 4), torch.zeros(1, 4)]
    assert mapped_tensor(stages, 1, (32, 32)) is stages[1]
    tokens, weights = torch.zeros(1, 5, 8), torch.zeros(1, 5, 5)
    assert mapped_tensor((tokens, weights), 1, (32, 32)) is tokens
    assert mapped_tensor({"logits": stages[2]}, 1, (32, 32)) is None


def test_the_rest_of_an_output_stays():
    old, new, other = torch.zeros(1), torch.ones(1), torch.zeros(1)
    replaced = with_replaced({"maps": (old, "text"), "other": other}, old, new)
    assert replaced["maps"][0] is new
    assert replaced["maps"][1] == "text"
    assert replaced["other"] is other
