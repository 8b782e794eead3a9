import numpy as np
import pytest
import torch

from cuelight.errors import ExplainError
from cuelight.tasks.classification.explain import ClassificationScores


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


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog"], "expected labels as numbers, got list"),
        (torch.zeros(3), r"2 images have labels of the shape \(3,\)"),
        (torch.zeros(2, 2), r"of the shape \(2, 2\)\. Expected \(N,\)"),
    ],
)
def test_labels_of_another_form_say_so(labels, message):
    with pytest.raises(ExplainError, match=message):
        ClassificationScores().labelled(labels, torch.zeros(2, 3))
