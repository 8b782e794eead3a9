"""Class scores of a detector for explanations."""

import pytest
import torch

from cuelight.errors import ExplainError
from cuelight.explain import heat_maps
from cuelight.tasks.class_scores import class_scores
from cuelight.tasks.detection.explain import DetectionScores
from cuelight.tasks.detection.model import DetectionModel

SCORES = DetectionScores()


def outputs(images=2, classes=3):
    torch.manual_seed(0)
    return tuple(torch.randn(images, 4 + classes, size, size, requires_grad=True) for size in (4, 2))


def test_the_score_is_the_mean_of_the_ten_best_logits_of_the_class() -> None:
    maps, classes = [values.detach() for values in outputs()], torch.tensor([2, 0])
    for image, label in enumerate(classes.tolist()):
        logits = torch.cat([values[image, 4 + label].flatten() for values in maps])
        best = logits.sort(descending=True).values
        assert SCORES.score(maps, classes)[image] == pytest.approx(float(best[:10].mean()))
        assert SCORES.probability(maps, classes)[image] == pytest.approx(float(best[0].sigmoid()))
    assert SCORES.count(maps) == 3


def test_the_predicted_class_is_that_of_the_best_box() -> None:
    maps = [values.detach() for values in outputs()]
    maps[1][0, 4 + 1, 0, 1] = 9
    maps[0][1, 4 + 2, 3, 3] = 9
    assert SCORES.predicted(maps).tolist() == [1, 2]


def test_the_labelled_class_is_the_most_frequent_one() -> None:
    maps = [values.detach() for values in outputs(3)]
    maps[0][2, 4 + 1] += 20
    labels = torch.tensor([[2, 0, 2], [1, -1, -1], [-1, -1, -1]])
    assert SCORES.labelled(labels, maps).tolist() == [2, 1, 1]
    notes = [note for _, note in SCORES.captions(torch.ones(3), torch.tensor([2, 0, 1]), labels)]
    assert notes == ["label: 2 of this class", "label: 0 of this class", "label: 0 of this class"]


@pytest.mark.parametrize("wrong", [torch.zeros(2, 3), [torch.zeros(2, 4, 3, 3)], "text"])
def test_other_outputs_are_refused(wrong) -> None:
    with pytest.raises(ExplainError, match="a map \\(N, 4 \\+ classes, H, W\\) for each stride"):
        SCORES.count(wrong)


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(ExplainError, match="Expected the class of each box"):
        SCORES.labelled(torch.tensor([1, 2]), outputs())


@pytest.mark.parametrize("method", ["gradcam", "eigencam"])
def test_a_detector_has_heat_maps_of_its_backbone(method) -> None:
    torch.manual_seed(0)
    model = DetectionModel("test_resnet", num_classes=3, input_size=(64, 64))
    scores = class_scores("detection", model)
    labels = torch.tensor([[0, -1], [2, 2]])
    found = heat_maps(model, torch.randn(2, 3, 64, 64), "auto", scores, class_idx="label", labels=labels, method=method)
    assert found.classes.tolist() == [0, 2]
    assert found.maps.shape == (2, 2, 2)
    assert found.maps.isfinite().all()
