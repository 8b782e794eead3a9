"""The class of an image stays what it is."""

import pytest
import torch

from cuelight.data.targets.labels import LABELS
from cuelight.errors import DataError
from cuelight.images.preprocessing import Preprocessing


def test_a_label_follows_its_image_unchanged():
    image = torch.rand(3, 4, 4)
    augmented, label = LABELS.augment(lambda one: one.flip(-1), image, LABELS.fit(2, Preprocessing(size=(4, 4))))
    assert torch.equal(augmented, image.flip(-1))
    assert label == 2
    assert LABELS.collate([2, torch.tensor(0)]).tolist() == [2, 0]
    assert LABELS.collate([]).dtype == torch.int64


def test_shares_of_classes_are_stacked():
    shares = LABELS.collate([torch.tensor([0.25, 0.75]), torch.tensor([1.0, 0.0])])
    assert shares.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert shares.dtype == torch.float32


@pytest.mark.parametrize("wrong", [torch.zeros(4, 4), torch.zeros(4, dtype=torch.int64)])
def test_a_mask_among_labels_says_what_to_set(wrong):
    shape = str(tuple(wrong.shape)).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(DataError, match=rf"a tensor {shape}.*target_kind = MASKS"):
        LABELS.collate([wrong])
