"""Pictures of a few images of an evaluation."""

import numpy as np
import pytest
import torch
from torch import nn

from cuelight.data.datasets.digit_scenes import DigitScenes
from cuelight.data.datasets.digits import Digits
from cuelight.evaluation.evaluate import evaluate
from cuelight.evaluation.evaluator import EvaluatorSettings
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images import tensors
from cuelight.tasks.classification.model import ClassificationModel
from cuelight.tasks.segmentation.model import SegmentationModel
from cuelight.train_end.examples import ExampleCollector

CLASSES = 11


class Fixed(nn.Module):
    """Sees the class 4 everywhere."""

    def forward(self, images):
        logits = torch.zeros(len(images), CLASSES, *images.shape[2:])
        logits[:, 4] = 1.0
        return logits


class Broken(nn.Module):
    """Computes NaN."""

    def forward(self, images):
        return torch.full((len(images), CLASSES, *images.shape[2:]), torch.nan)


class Sure(nn.Module):
    """Sees the class 4 everywhere, the brighter the image the surer."""

    def forward(self, images):
        return torch.zeros(len(images), 10).index_fill(1, torch.tensor(4), 1.0) * images.mean((1, 2, 3))[:, None].exp()


@pytest.fixture(scope="module")
def scenes():
    return DigitScenes(size=64, train_scenes=4, val_scenes=3, test_scenes=8, batch_size=4, num_workers=0)


@pytest.fixture(scope="module")
def digits():
    return Digits(batch_size=64)


def segmenter(network):
    model = SegmentationModel(
        "Unet", "mobilenetv3_small_050", num_classes=CLASSES, in_channels=1, input_size=(64, 64)
    )  # fmt: skip
    model.network = network
    return model


def classifier(network):
    model = ClassificationModel("test_resnet", num_classes=10, in_channels=1, input_size=(28, 28))
    model.backbone = network
    return model


def describe(data, **changes):
    values = {"class_names": tuple(data.class_names), "preprocessing": data.preprocessing}
    return ModelMetadata("f" * 64, **values | changes)


def collected(model, data, view="test", precision="32-true", **changes):
    examples = ExampleCollector(describe(data, **{"task": model.task} | changes))
    evaluate(model.eval(), data, view, EvaluatorSettings("cpu", precision=precision), [examples])
    return examples.picture()


@pytest.mark.parametrize(("view", "rows"), [("test", 3), ("val", 2), ("train", 2)])
def test_the_first_images_of_a_segmentation_are_drawn(scenes, view, rows) -> None:
    picture = collected(segmenter(Fixed()), scenes, view)
    assert picture.width == 2 * (3 * 192 + 2 * 4) + 20
    assert picture.height == pytest.approx(26 + rows * 196 - 4 + 24 + 24, abs=25)
    scenes.setup()
    image, mask = next(iter(scenes.whole_dataloader(view)))
    shown = np.asarray(picture)[26 : 26 + 192, :192]
    expected = (tensors.denormalize(scenes.preprocessing, image[0]).permute(1, 2, 0).numpy() * 255).round()
    np.testing.assert_allclose(shown[1::3, 1::3], expected, atol=1)
    background = (mask[0] == 0).numpy()
    truth = np.asarray(picture)[26 : 26 + 192, 196 : 196 + 192][1::3, 1::3]
    np.testing.assert_array_equal(truth[background], shown[1::3, 1::3][background])
    assert (truth[~background] != shown[1::3, 1::3][~background]).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("view", ["test", "val", "train"])
def test_the_most_confident_mistakes_of_a_classification_are_drawn(digits, view) -> None:
    picture = np.asarray(collected(classifier(Sure()), digits, view))
    assert picture.shape == (34 + 2 * (168 + 38) + 12 + 12, 6 * 168 + 5 * 12 + 2 * 12, 3)
    digits.setup()
    images, labels = (torch.cat(part) for part in zip(*digits.whole_dataloader(view), strict=True))
    wrong = images[labels != 4]
    surest = wrong[wrong.mean((1, 2, 3)).argsort(descending=True, stable=True)[:12]]
    expected = (tensors.denormalize(digits.preprocessing, surest) * 255).round().numpy()
    for place, image in enumerate(expected):
        row, column = divmod(place, 6)
        top, left = 34 + row * (206 + 12), 12 + column * (168 + 12)
        shown = picture[top : top + 168, left : left + 168, 0][3::6, 3::6]
        np.testing.assert_allclose(shown, image[0], atol=1)


def test_a_model_without_mistakes_has_no_picture(digits) -> None:
    class Right(nn.Module):
        labels = iter(())

        def forward(self, images):
            return nn.functional.one_hot(next(self.labels), 10).float()

    digits.setup()
    Right.labels = (labels for _, labels in digits.whole_dataloader("test"))
    assert collected(classifier(Right()), digits) is None


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_a_model_that_is_measured_in_another_precision_is_drawn(scenes, precision) -> None:
    module = segmenter(nn.Conv2d(scenes.preprocessing.channels, CLASSES, 1))
    module = module.double() if precision.startswith("64") else module
    assert collected(module, scenes, precision=precision) is not None


def test_what_was_measured_stands_without_a_picture(scenes, caplog) -> None:
    assert collected(segmenter(Broken()), scenes) is None
    assert caplog.text.count("Predictions cannot be drawn: The outputs of the model contain NaN or infinity") == 1


@pytest.mark.parametrize("changes", [{"task": None}, {"task": "unknown"}, {"preprocessing": None}])
def test_what_is_not_known_is_not_drawn(scenes, changes) -> None:
    assert collected(segmenter(Fixed()), scenes, **changes) is None
