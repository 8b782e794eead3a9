import pytest
import torch
from torch import nn

from cuelight.errors import ExplainError
from cuelight.tasks.segmentation.explain import SegmentationScores, class_scores

# Of two images of 2 x 3 pixels and three classes: how many pixels each class has.
MASKS = torch.tensor([[[0, 0, 0], [0, 1, 2]], [[1, 1, 2], [2, 2, 0]]])


def logits_of(masks, classes=3):
    logits = torch.nn.functional.one_hot(masks, classes).permute(0, 3, 1, 2).float()
    return logits + 0.25 * torch.arange(masks.numel()).view_as(masks)[:, None] / masks.numel()


def test_a_segmentation_scores_where_a_class_is_seen():
    logits, classes = logits_of(MASKS), torch.tensor([0, 2])
    scores = SegmentationScores()
    expected = [logits[image, index][MASKS[image] == index].sum() for image, index in enumerate(classes)]
    assert torch.allclose(scores.score(logits, classes), torch.stack(expected))
    assert torch.allclose(scores.probability(logits, classes), torch.tensor([4 / 6, 3 / 6]))


def test_a_class_that_is_seen_nowhere_scores_everywhere():
    logits = logits_of(MASKS, 4)
    scores, classes = SegmentationScores(), torch.tensor([3, 1])
    assert torch.allclose(scores.score(logits, classes)[0], logits[0, 3].sum())
    assert scores.probability(logits, classes)[0] == 0


@pytest.mark.parametrize(("background", "predicted"), [(None, [0, 2]), (0, [1, 2]), (2, [0, 1])])
def test_a_background_is_seen_only_where_nothing_else_is(background, predicted):
    scores = SegmentationScores(background)
    assert scores.predicted(logits_of(MASKS)).tolist() == predicted
    assert scores.labelled(MASKS, logits_of(MASKS)).tolist() == predicted
    alone = torch.full_like(MASKS, 2)
    assert SegmentationScores(2).predicted(logits_of(alone)).tolist() == [2, 2]


def test_pixels_that_do_not_count():
    logits = logits_of(MASKS)
    counted = torch.zeros(2, 2, 3, dtype=torch.bool)
    counted[0, 0, 0], counted[1, 1] = True, True
    scores, classes = SegmentationScores(counted=counted), torch.tensor([1, 2])
    seen = [[int(one) for one in mask[where]] for mask, where in zip(MASKS, counted, strict=True)]
    assert scores.predicted(logits).tolist() == [max(one, key=one.count) for one in seen]
    shares = [one.count(index) / len(one) for one, index in zip(seen, (1, 2), strict=True)]
    assert scores.probability(logits, classes).tolist() == pytest.approx(shares)
    for one, index in zip((0, 1), classes, strict=True):
        where = counted[one] & (MASKS[one] == index)
        where = where if where.any() else counted[one]
        assert scores.score(logits, classes)[one] == pytest.approx(float(logits[one, index][where].sum()))
    coarse = counted.repeat_interleave(2, 1).repeat_interleave(2, 2)  # of images twice as large as the outputs
    assert torch.equal(SegmentationScores(counted=coarse).score(logits, classes), scores.score(logits, classes))


def test_ignored_pixels_are_of_no_class():
    masks = torch.full_like(MASKS, 255)
    masks[0, 0, 0], masks[1, 0, 0], masks[1, 1] = 1, 2, -100
    assert SegmentationScores(0).labelled(masks, logits_of(MASKS)).tolist() == [1, 2]


@pytest.mark.parametrize(
    "form",
    [
        lambda masks: masks[:, None],
        lambda masks: masks[:, None].float(),
        lambda masks: torch.nn.functional.one_hot(masks, 3).permute(0, 3, 1, 2),
        lambda masks: masks.numpy(),
    ],
    ids=["with a channel", "numbers with a fraction", "a channel for each class", "array"],
)
def test_forms_of_masks(form):
    assert SegmentationScores().labelled(form(MASKS), logits_of(MASKS)).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2), r"of the shape \(2,\)\. Expected masks \(N, H, W\)"),
        (MASKS[:1], r"2 images have labels of the shape \(1, 2, 3\)"),
        ([{"boxes": 1}, {"boxes": 2}], "expected labels as numbers"),
    ],
)
def test_labels_of_another_form_say_so(labels, message):
    with pytest.raises(ExplainError, match=message):
        SegmentationScores().labelled(labels, logits_of(MASKS))


def test_one_channel_is_that_of_the_second_class():
    logits = torch.where(MASKS[:, None] == 1, 2.0, -1.0)
    scores = SegmentationScores(0)
    assert scores.count(logits) == 2
    assert scores.score(logits, torch.tensor([1, 0])).tolist() == [2, 4]
    assert scores.predicted(logits[1:]).tolist() == [1]


def test_pixels_without_a_label_do_not_count():
    masks = torch.full_like(MASKS, 255)
    masks[0, 0, 0], masks[1, 1] = 1, 2
    scores = SegmentationScores().counting_labelled(masks[:, None])
    assert torch.equal(scores.counted, masks != 255)
    assert SegmentationScores().counting_labelled(torch.tensor([0, 1])) == SegmentationScores()
    assert SegmentationScores().counting_labelled(masks.float()) == SegmentationScores()


def test_a_model_says_which_values_of_a_mask_are_no_label():
    model = nn.Module()
    model.ignore_index, model.num_classes = 7, 10
    assert class_scores(model, ["Background", "cat"]) == SegmentationScores(0, frozenset({7, 255}))
    model.num_classes = 300
    assert class_scores(model, ["_background_", "cat"]) == SegmentationScores(0, frozenset({7}))
    assert class_scores(model, ["cat"]) == SegmentationScores(None, frozenset({7}))
    assert class_scores(nn.Identity(), None) == SegmentationScores(None, frozenset({255}))
