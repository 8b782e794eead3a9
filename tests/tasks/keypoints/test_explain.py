"""Class scores of a model of keypoints."""

import pytest
import torch

from cuelight.errors import ExplainError
from cuelight.tasks.class_scores import class_scores
from cuelight.tasks.keypoints.model import KeypointModel


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    names = {"keypoint_names": list("abcde"), "class_names": ["x", "y", "z"]}
    return KeypointModel(backbone="test_resnet", input_size=(64, 64), strides=[8, 16], **names).eval()


def test_scores_are_those_of_the_boxes(model) -> None:
    outputs = model(torch.randn(2, 3, 64, 64))
    boxes = outputs[:2]
    for scores in (class_scores("keypoints", model), class_scores("keypoints", torch.nn.Identity())):
        assert scores.count(outputs) == 3
        best = torch.cat([maps[:, 4:].flatten(2) for maps in boxes], 2).topk(10, dim=2).values.mean(2)
        torch.testing.assert_close(scores.score(outputs, torch.tensor([1, 2])), best[[0, 1], [1, 2]])
        assert scores.labelled(torch.tensor([[2, 2, 0], [-1, -1, -1]]), outputs)[0] == 2


def test_other_outputs_are_refused(model) -> None:
    with pytest.raises(ExplainError, match="needs a map"):
        class_scores("keypoints", model).count([torch.zeros(2, 3)] * 2)
