"""What is written beside a heat map, and the images and labels that are taken out of a batch."""

import numpy as np
import pytest
import torch

from cuelight.data.datasets.digits import Digits, load_digits
from cuelight.errors import CuelightError
from cuelight.explain import HeatMaps
from cuelight.explain.batches import images_and_labels, some_of
from cuelight.explain.captions import explained_images, title_of
from cuelight.explain.inputs import as_pictures
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.classification.explain import ClassificationScores
from cuelight.tasks.segmentation.explain import SegmentationScores

NAMES = ["cat", "dog", "fox"]
LOGITS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]])


def captions(classes, logits=LOGITS, scores=None, names=NAMES, labels=None):
    scores = scores or ClassificationScores()
    classes = torch.tensor(classes)
    count = len(classes)
    found = HeatMaps(torch.rand(count, 2, 2), classes, scores.probability(logits, classes), logits)
    images = explained_images(found, np.zeros((count, 4, 4, 3), np.uint8), scores, names, labels)
    return [(image.name, image.score, image.note, image.right) for image in images]


def test_class_and_score() -> None:
    assert captions([0, 1]) == [("cat", "90.9%", "", None), ("dog", "78.7%", "", None)]


def test_label_and_what_was_predicted_in_place_of_the_class_that_is_explained() -> None:
    assert captions([0, 0], labels=torch.tensor([0, 0])) == [
        ("cat", "90.9%", "label: cat", True),
        ("cat", "10.7%", "label: cat, predicted: dog 78.7%", False),
    ]
    assert captions([1, 1], labels=torch.tensor([[0], [1]])) == [
        ("dog", "4.5%", "label: cat, predicted: cat 90.9%", True),
        ("dog", "78.7%", "label: dog", True),
    ]


@pytest.mark.parametrize("labels", [torch.rand(2, 3), torch.ones(2, 2, dtype=torch.long), ["cat", "dog"]])
def test_labels_of_another_form_are_left_out(labels) -> None:
    assert [note for _, _, note, _ in captions([0, 1], labels=labels)] == ["", ""]


def test_classes_without_a_name_are_numbers() -> None:
    assert [name for name, *_ in captions([2, 1], names=None)] == ["class 2", "class 1"]
    assert [name for name, *_ in captions([2, 1], names=NAMES[:2])] == ["class 2", "dog"]


def test_one_logit_is_that_of_two_classes() -> None:
    (caption,) = captions([0], torch.tensor([[2.0]]), labels=torch.tensor([1]))
    assert caption == ("cat", "11.9%", "label: dog, predicted: dog 88.1%", True)


def test_a_segmentation_tells_shares_of_the_pixels() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0] = 1
    labels = torch.tensor([[[1, 0], [255, 0]]])
    assert captions([1], logits, SegmentationScores(), labels=labels) == [
        ("dog", "50.0% of the pixels", "label: 25.0% of the pixels", None)
    ]
    assert captions([1], logits, SegmentationScores())[0][2] == ""


def test_masks_may_have_a_channel() -> None:
    labels = torch.tensor([[[[1, 0], [255, 0]]]])
    ((_, _, note, _),) = captions([1], torch.zeros(1, 3, 2, 2), SegmentationScores(), labels=labels)
    assert note == "label: 25.0% of the pixels"


def test_boxes_that_lie_on_a_grid_are_no_pixels() -> None:
    class Boxes(ClassificationScores):
        def _logits(self, outputs):
            return outputs.amax((2, 3))

    outputs = LOGITS[:1, :, None, None].expand(-1, -1, 2, 2)
    assert captions([0], outputs, Boxes()) == [("cat", "90.9%", "", None)]


def test_the_title_tells_method_layer_and_resolution() -> None:
    assert title_of("gradcam++", "backbone.layer4", torch.zeros(1, 7, 5)) == "Grad-CAM++ of backbone.layer4 (7 x 5)"
    assert title_of("hirescam", "", torch.zeros(1, 7, 7)) == "HiResCAM of the whole model (7 x 7)"


# The images.


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
def test_normalized_images_are_turned_back(color) -> None:
    preprocessing = Preprocessing(size=(8, 8), mean=(0.4,), std=(0.3,), color=color)
    images = torch.randint(256, (2, preprocessing.channels, 8, 8), dtype=torch.uint8)
    expected = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(as_pictures(tensors.prepare(preprocessing, images), preprocessing), expected)


def test_digits_look_as_they_were_scanned() -> None:
    images, _ = load_digits()
    shown = as_pictures(tensors.prepare(Digits().preprocessing, torch.from_numpy(images[:3])), Digits().preprocessing)
    np.testing.assert_array_equal(shown, images[:3].repeat(3, 1).transpose(0, 2, 3, 1))


def test_images_of_unknown_preprocessing_are_stretched_each_by_itself() -> None:
    images = torch.stack([torch.linspace(-3, 7, 12), torch.linspace(0, 1e-3, 12), torch.ones(12)]).view(3, 3, 2, 2)
    shown = as_pictures(images)
    assert [(image.min(), image.max()) for image in shown] == [(0, 255), (0, 255), (0, 0)]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels_are_grey(channels) -> None:
    shown = as_pictures(torch.rand(2, channels, 4, 5), Preprocessing(size=(4, 5)))
    assert shown.shape == (2, 4, 5, 3)
    assert (shown[..., :1] == shown).all()


def test_bytes_and_half_precision() -> None:
    images = torch.randint(256, (1, 3, 4, 4), dtype=torch.uint8)
    np.testing.assert_array_equal(as_pictures(images), images.permute(0, 2, 3, 1))
    assert as_pictures(torch.rand(1, 3, 4, 4).bfloat16() * torch.nan).max() == 0


# The batch.


IMAGES, LABELS = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
BOXES = [{"boxes": 1}, {"boxes": 2}]


@pytest.mark.parametrize(
    ("batch", "labels"),
    [
        ((IMAGES, LABELS), LABELS),
        ([IMAGES, LABELS, "more"], LABELS),
        ({"image": IMAGES, "mask": LABELS}, LABELS),
        ({"pixel_values": IMAGES, "labels": LABELS, "id": 3}, LABELS),
        ((IMAGES, BOXES), BOXES),
        (({"image": IMAGES}, {"mask": LABELS}), LABELS),
        ((IMAGES, {"boxes": 1}), None),
        ((IMAGES,), None),
        (IMAGES, None),
        ({"x": IMAGES, "other": LABELS}, None),
    ],
)
def test_images_and_labels_are_found(batch, labels) -> None:
    found = images_and_labels(batch)
    assert found[0] is IMAGES
    assert found[1] is labels


@pytest.mark.parametrize(
    ("batch", "form"),
    [
        (torch.rand(2, 7), "a tensor (2, 7)"),
        ((LABELS, IMAGES), "(a tensor (2,), a tensor (2, 3, 4, 4))"),
        ({"picture": IMAGES}, "{picture: a tensor (2, 3, 4, 4)}"),
        ("text", "str"),
        (None, "NoneType"),
        ([], "()"),
    ],
)
def test_a_batch_without_images_is_described(batch, form) -> None:
    with pytest.raises(CuelightError) as raised:
        images_and_labels(batch)
    assert f"got {form}." in str(raised.value)
    assert "pixel_values" in str(raised.value)


def test_some_of_a_batch_are_spread_over_it() -> None:
    images, labels = torch.arange(30.0).view(30, 1, 1, 1), torch.arange(30)
    chosen, of_chosen = some_of(images, labels, 12)
    assert chosen.flatten().tolist() == of_chosen.tolist()
    assert (of_chosen[0], of_chosen[-1]) == (0, 29)
    assert set(of_chosen.diff().tolist()) == {2, 3}
    assert some_of(images, labels.tolist(), 12)[1] == of_chosen.tolist()
    assert some_of(images, None, 12)[1] is None
    assert some_of(images[:12], labels[:12], 12)[1].tolist() == list(range(12))
