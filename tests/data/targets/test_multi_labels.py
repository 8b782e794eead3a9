"""The labels of an image stay what they are."""

import numpy as np
import torch

from cuelight.data.targets.multi_labels import MULTI_LABELS
from cuelight.images.preprocessing import Preprocessing


def test_labels_follow_their_image_unchanged() -> None:
    image, labels = torch.rand(3, 4, 4), np.array([1, 0, -1], np.float32)
    augmented, same = MULTI_LABELS.augment(
        lambda one: one.flip(-1), image, MULTI_LABELS.fit(labels, Preprocessing(size=(4, 4)))
    )
    assert torch.equal(augmented, image.flip(-1))
    assert same is labels


def test_a_batch_is_float32_whatever_labels_are() -> None:
    batch = MULTI_LABELS.collate([np.array([1, 0, -1], np.float32), torch.tensor([0, 1, 1]), [1, 1, 0]])
    assert batch.dtype == torch.float32
    assert batch.tolist() == [[1, 0, -1], [0, 1, 1], [1, 1, 0]]
    assert MULTI_LABELS.collate([]).shape == (0,)
