import torch

from cuelight.config import Part
from cuelight.data.datasets.digit_labels import DigitLabels

FEW = {"train_scenes": 40, "val_scenes": 12, "test_scenes": 10, "num_workers": 0}


def set_up(**params):
    data = DigitLabels(**{"batch_size": 10, **FEW, **params})
    data.setup()
    return data


def test_the_labels_are_the_digits_of_the_scene() -> None:
    data = set_up()
    images, labels = next(iter(data.val_dataloader()))
    assert (data.task, data.class_names) == ("multilabel", list("0123456789"))
    assert (images.shape, labels.shape, labels.dtype) == ((10, 3, 64, 64), (10, 10), torch.float32)
    for number, row in enumerate(labels):
        assert row.nonzero()[:, 0].tolist() == sorted(set(data._splits["val"].draw(number).labels.tolist()))
    assert 1 <= labels.sum(1).min() < labels.sum(1).max() <= 4


def test_what_moves_a_scene_does_not_change_its_labels() -> None:
    flipped = set_up(transforms=[Part(name="RandomHorizontalFlip", params={"p": 1.0})])
    (images, labels), (mirrored, same) = (next(iter(data.train_dataloader())) for data in (set_up(), flipped))
    assert torch.equal(images.flip(-1), mirrored)
    assert torch.equal(labels, same)


def test_the_fingerprint_tells_scenes_apart() -> None:
    assert set_up(seed=1).fingerprint() == set_up().fingerprint()
    assert set_up(split_seed=1).fingerprint() != set_up().fingerprint()
