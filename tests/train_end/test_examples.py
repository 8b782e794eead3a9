"""Pictures of a few predictions."""

import numpy as np
import pytest
import torch
from torch import nn

from cuelight.data.datasets.digit_scenes import DigitScenes
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images import tensors
from cuelight.train_end.examples import draw_examples

CLASSES = 11


class Fixed(nn.Module):
    """Sees the class 4 everywhere."""

    def forward(self, images):
        logits = torch.zeros(len(images), CLASSES, *images.shape[2:])
        logits[:, 4] = 1.0
        return logits


@pytest.fixture(scope="module")
def data():
    return DigitScenes(size=64, train_scenes=4, val_scenes=3, test_scenes=8, batch_size=4)


def describe(data, **changes):
    values = {"task": "segmentation", "class_names": tuple(data.class_names), "preprocessing": data.preprocessing}
    return ModelMetadata("f" * 64, **values | changes)


@pytest.mark.parametrize(("view", "rows"), [("test", 3), ("val", 2), ("train", 2)])
def test_the_first_images_of_a_split_are_drawn(data, view, rows) -> None:
    picture = draw_examples(Fixed(), describe(data), data, view)
    assert picture.width == 2 * (3 * 192 + 2 * 4) + 20
    assert picture.height == pytest.approx(26 + rows * 196 - 4 + 24 + 24, abs=25)
    data.setup()
    image, mask = next(iter(data.whole_dataloader(view)))
    shown = np.asarray(picture)[26 : 26 + 192, :192]
    expected = (tensors.denormalize(data.preprocessing, image[0]).permute(1, 2, 0).numpy() * 255).round()
    np.testing.assert_allclose(shown[1::3, 1::3], expected, atol=1)
    background = (mask[0] == 0).numpy()
    truth = np.asarray(picture)[26 : 26 + 192, 196 : 196 + 192][1::3, 1::3]
    np.testing.assert_array_equal(truth[background], shown[1::3, 1::3][background])
    assert (truth[~background] != shown[1::3, 1::3][~background]).any(axis=1).mean() > 0.9


def test_a_module_may_choose_the_images(data) -> None:
    class Chooses(Fixed):
        chosen = (1, 6)

        def example_indices(self, count):
            return self.chosen

    picture = draw_examples(Chooses(), describe(data), data, "test")
    images = torch.cat([images for images, _ in data.whole_dataloader("test")])
    for place, left in ((1, 0), (6, 3 * 192 + 2 * 4 + 20)):
        shown = np.asarray(picture)[26 : 26 + 192, left : left + 192]
        expected = tensors.denormalize(data.preprocessing, images[place]).permute(1, 2, 0).numpy() * 255
        np.testing.assert_allclose(shown[1::3, 1::3], expected.round(), atol=1)
    Chooses.chosen = ()
    assert draw_examples(Chooses(), describe(data), data, "test") is None


def test_images_are_computed_one_by_one(data) -> None:
    sizes = []
    network = Fixed()
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    draw_examples(network, describe(data), data, "test")
    assert sizes == [1] * 6


def test_a_model_that_was_measured_in_half_precision_is_drawn(data) -> None:
    module = nn.Conv2d(data.preprocessing.channels, CLASSES, 1).to(torch.bfloat16)
    assert draw_examples(module, describe(data), data, "test") is not None


def test_what_was_measured_stands_without_a_picture(data, caplog) -> None:
    class Broken(nn.Module):
        def forward(self, images):
            return torch.full((len(images), CLASSES, *images.shape[2:]), torch.nan)

    assert draw_examples(Broken(), describe(data), data, "test") is None
    assert "Predictions cannot be drawn: The outputs of the model contain NaN or infinity" in caplog.text


def test_what_cannot_be_drawn_so_is_not(data) -> None:
    assert draw_examples(Fixed(), describe(data, task="classification"), data, "test") is None
    assert draw_examples(Fixed(), describe(data, task=None), data, "test") is None
    assert draw_examples(Fixed(), describe(data, preprocessing=None), data, "test") is None
