"""Class scores of labels for explanations."""

import pytest
import torch

from cuelight.errors import ExplainError
from cuelight.explain import heat_maps
from cuelight.explain.captions import explained_images
from cuelight.tasks.class_scores import class_scores
from cuelight.tasks.multilabel.explain import MultiLabelScores
from cuelight.tasks.multilabel.model import MultiLabelModel

SCORES = MultiLabelScores()
LOGITS = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]])


def test_each_class_has_a_probability_of_its_own() -> None:
    classes = torch.tensor([2, 0])
    assert SCORES.count(LOGITS) == 3
    assert SCORES.score(LOGITS, classes).tolist() == [2, 0]
    assert torch.equal(SCORES.probability(LOGITS, classes), LOGITS.sigmoid()[[0, 1], classes])
    assert SCORES.predicted(LOGITS).tolist() == [1, 2]
    assert SCORES.count(LOGITS[:, :1]) == 1


def test_the_labelled_class_is_the_likeliest_of_the_labels() -> None:
    assert SCORES.labelled(torch.tensor([[1.0, 0, 1], [1, 1, -1]]), LOGITS).tolist() == [2, 0]
    assert SCORES.labelled(torch.tensor([[0.0, 0, 0], [-1, -1, -1]]), LOGITS).tolist() == [1, 2]


@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), torch.zeros(2, 2)])
def test_labels_of_another_shape_are_refused(labels) -> None:
    with pytest.raises(ExplainError, match=r"Expected \(2, 3\): 1 for each class"):
        SCORES.labelled(labels, LOGITS)


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ExplainError, match=r"multilabel needs logits \(N, C\)"):
        SCORES.count(torch.zeros(2, 3, 4, 4))


def test_heat_maps_have_score_and_label_below() -> None:
    torch.manual_seed(0)
    model = MultiLabelModel("test_resnet", class_names=["cat", "dog", "bird"], input_size=(32, 32))
    scores = class_scores("multilabel", model)
    labels, images = torch.tensor([[0.0, 1, 0], [0, -1, 0], [0, 0, 0]]), torch.randn(3, 3, 32, 32)
    found = heat_maps(model, images, "auto", scores, class_idx=1, labels=labels)
    assert found.maps.isfinite().all()
    pictures = torch.zeros(3, 32, 32, 3, dtype=torch.uint8).numpy()
    explained = explained_images(found, pictures, scores, model.class_names, labels)
    assert [one.note for one in explained] == ["label: present", "label: unknown", "label: absent"]
    assert {one.name for one in explained} == {"dog"}
    assert [one.note for one in explained_images(found, pictures, scores)] == ["", "", ""]
    found = heat_maps(model, images[:1], "auto", scores, class_idx="label", labels=labels[:1])
    assert found.classes.tolist() == [1]
