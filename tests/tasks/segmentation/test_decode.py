"""What the outputs of a segmentation model become."""

import numpy as np
import pytest
import torch

from cuelight.errors import CuelightError
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation, decode_segmentation

NAMES = ("background", "cat", "dog")


def random_logits(count=2, classes=3, seed=0):
    return np.random.default_rng(seed).normal(0, 3, (count, classes, 4, 5)).astype(np.float32)


def test_masks_and_scores_are_those_of_torch() -> None:
    logits = random_logits()
    probabilities = torch.from_numpy(logits).softmax(1)
    for result, expected in zip(decode_segmentation({"logits": logits}, NAMES), probabilities, strict=True):
        assert result.mask.dtype == np.uint8
        np.testing.assert_array_equal(result.mask, expected.argmax(0))
        np.testing.assert_allclose(result.scores, expected.amax(0), rtol=1e-5)
        assert result.score == pytest.approx(expected.amax(0).mean().item(), rel=1e-5)


def test_an_image_of_which_nothing_is_seen_has_no_classes() -> None:
    result = Segmentation(np.full((2, 2), UNSEEN, np.uint8), np.zeros((2, 2), np.float32), NAMES)
    assert result.details() == {"score": 0.0, "classes": []}


def test_large_logits_and_half_precision() -> None:
    logits = (random_logits() * 1000).astype(np.float16)
    [first, _] = decode_segmentation({"any": logits})
    assert np.isfinite(first.scores).all()
    np.testing.assert_array_equal(first.mask, logits[0].argmax(0))
    assert first.names == ("0", "1", "2")


def test_of_equal_logits_the_first_class_is_taken() -> None:
    [result] = decode_segmentation({"logits": np.zeros((1, 3, 2, 2), np.float32)})
    assert (result.mask == 0).all()
    assert result.score == pytest.approx(1 / 3)


def test_shares_are_of_the_pixels_that_were_seen() -> None:
    mask = np.array([[0, 0, 2, 2], [2, 2, 2, 2], [UNSEEN] * 4], np.uint8)
    scores = np.where(mask == 0, 0.5, np.where(mask == 2, 0.75, 0)).astype(np.float32)
    result = Segmentation(mask, scores, NAMES)
    assert [(area.index, area.name, area.share, area.score) for area in result.areas] == [
        (2, "dog", 0.75, 0.75),
        (0, "background", 0.25, 0.5),
    ]
    assert result.summary() == {"classes": "dog 75.0%, background 25.0%", "score": 0.6875}
    shares = {"share of background": 0.25, "share of cat": 0.0, "share of dog": 0.75}
    assert result.row() == result.summary() | shares
    assert result.details() == {
        "score": 0.6875,
        "classes": [
            {"class": "dog", "index": 2, "share": 0.75, "score": 0.75},
            {"class": "background", "index": 0, "share": 0.25, "score": 0.5},
        ],
    }


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": np.zeros((1, 3))}, r"expected logits \(images, classes, height, width\); got logits \[1, 3\]"),
        ({"a": np.zeros((1, 3, 2, 2)), "b": np.zeros((1, 3))}, r"got a \[1, 3, 2, 2\], b \[1, 3\]"),
        ({"logits": np.full((1, 3, 2, 2), np.nan)}, "NaN or infinity"),
        ({"logits": np.zeros((1, 256, 2, 2))}, "up to 255 classes; the model has 256"),
    ],
)
def test_outputs_that_are_no_segmentation(outputs, message) -> None:
    with pytest.raises(CuelightError, match=message):
        decode_segmentation(outputs)
