import numpy as np
import pytest
import torch
from torch import nn

from cuelight.errors import ExplainError
from cuelight.explain import ScoresClasses
from cuelight.explain.scores import ClassificationScores, SegmentationScores, scores_of

# Of two images of 2 x 3 pixels and three classes: how many pixels each class has.
MASKS = torch.tensor([[[0, 0, 0], [0, 1, 2]], [[1, 1, 2], [2, 2, 0]]])


def logits_of(masks, classes=3):
    logits = torch.nn.functional.one_hot(masks, classes).permute(0, 3, 1, 2).float()
    return logits + 0.25 * torch.arange(masks.numel()).view_as(masks)[:, None] / masks.numel()


def test_a_classification_scores_by_its_logits():
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]])
    scores, classes = ClassificationScores(), torch.tensor([2, 0])
    assert scores.count(logits) == 3
    assert scores.score(logits, classes).tolist() == [2, 0]
    assert torch.equal(scores.probability(logits, classes), logits.softmax(1)[[0, 1], classes])
    assert scores.predicted(logits).tolist() == [1, 2]


@pytest.mark.parametrize(
    "labels", [torch.tensor([2, 1]), torch.tensor([[2], [1]]), torch.eye(3)[[2, 1]] * 0.7, [2, 1], np.array([2, 1])]
)
def test_labels_of_a_classification(labels):
    assert ClassificationScores().labelled(labels, torch.zeros(2, 3)).tolist() == [2, 1]


@pytest.mark.parametrize("logits", [torch.tensor([[3.0], [-1.0]]), torch.tensor([3.0, -1.0])])
def test_one_logit_is_that_of_the_second_class(logits):
    scores, ones, zeros = ClassificationScores(), torch.tensor([1, 1]), torch.tensor([0, 0])
    assert scores.count(logits) == 2
    assert scores.score(logits, ones).tolist() == [3, -1]
    assert scores.score(logits, zeros).tolist() == [-3, 1]
    assert torch.allclose(scores.probability(logits, ones), logits.flatten().sigmoid())
    assert scores.predicted(logits).tolist() == [1, 0]
    assert scores.labelled(torch.tensor([[1], [0]]), logits).tolist() == [1, 0]


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
    ("scores", "labels", "message"),
    [
        (ClassificationScores(), ["cat", "dog"], "labels are numbers, and these are list"),
        (ClassificationScores(), torch.zeros(3), r"2 images have labels of the shape \(3,\)"),
        (ClassificationScores(), torch.zeros(2, 2), r"of the shape \(2, 2\)\. Expected \(N,\)"),
        (SegmentationScores(), torch.zeros(2), r"of the shape \(2,\)\. Expected masks \(N, H, W\)"),
        (SegmentationScores(), MASKS[:1], r"2 images have labels of the shape \(1, 2, 3\)"),
        (SegmentationScores(), [{"boxes": 1}, {"boxes": 2}], "labels are numbers"),
    ],
)
def test_labels_of_another_form_say_so(scores, labels, message):
    outputs = logits_of(MASKS) if isinstance(scores, SegmentationScores) else torch.zeros(2, 3)
    with pytest.raises(ExplainError, match=message):
        scores.labelled(labels, outputs)


def test_one_channel_is_that_of_the_second_class():
    logits = torch.where(MASKS[:, None] == 1, 2.0, -1.0)
    scores = SegmentationScores(0)
    assert scores.count(logits) == 2
    assert scores.score(logits, torch.tensor([1, 0])).tolist() == [2, 4]
    assert scores.predicted(logits[1:]).tolist() == [1]


@pytest.mark.parametrize(
    ("task", "shape", "message"),
    [
        ("classification", (2, 3, 4, 4), "Set task to segmentation"),
        ("segmentation", (2, 3), "Set task to classification"),
    ],
)
def test_outputs_of_another_task_say_so(task, shape, message):
    with pytest.raises(ExplainError, match=message):
        scores_of(nn.Identity(), task).count(torch.zeros(shape))


def test_an_unknown_task_says_what_is_expected():
    with pytest.raises(ExplainError, match=r'task "segmentatoin"\. Did you mean "segmentation"'):
        scores_of(nn.Identity(), "segmentatoin")
    with pytest.raises(ExplainError, match=r'task "detection"\. Expected .* method class_scores'):
        scores_of(nn.Identity(), "detection")


def test_a_module_may_tell_how_it_scores():
    class Detector(nn.Module):
        def class_scores(self):
            return ClassificationScores()

    assert isinstance(Detector(), ScoresClasses)
    assert scores_of(Detector(), "detection") == ClassificationScores()
