import pytest
import torch
from torch import nn

from cuelight.errors import ExplainError
from cuelight.explain import ScoresClasses
from cuelight.tasks.class_scores import class_scores
from cuelight.tasks.classification.explain import ClassificationScores


@pytest.mark.parametrize(
    ("task", "shape", "message"),
    [
        ("classification", (2, 3, 4, 4), "Set task to segmentation"),
        ("segmentation", (2, 3), "Set task to classification"),
    ],
)
def test_outputs_of_another_task_say_so(task, shape, message):
    with pytest.raises(ExplainError, match=message):
        class_scores(task, nn.Identity()).count(torch.zeros(shape))


def test_an_unknown_task_says_what_is_expected():
    with pytest.raises(ExplainError, match=r'task "segmentatoin"\. Did you mean "segmentation"'):
        class_scores("segmentatoin", nn.Identity())
    with pytest.raises(ExplainError, match=r'task "tracking"\. Expected .* method class_scores'):
        class_scores("tracking", nn.Identity())


def test_a_module_may_tell_how_it_scores():
    class Detector(nn.Module):
        def class_scores(self):
            return ClassificationScores()

    assert isinstance(Detector(), ScoresClasses)
    assert class_scores("tracking", Detector()) == ClassificationScores()
