"""The loss of a detector."""

import pytest
import torch
from torchvision.ops import complete_box_iou, generalized_box_iou

from cuelight.errors import ConfigError
from cuelight.tasks.detection.boxes import ciou, giou
from cuelight.tasks.detection.losses import BOX_LOSSES, CLASS_LOSSES, DetectionLoss, bce, loss_problems, varifocal

STRIDES = (8, 16)


def random_boxes(count):
    corners = torch.rand(count, 2, 2) * 60
    return torch.cat([corners[:, 0], corners[:, 0] + corners[:, 1] + 1], 1)


def maps(images=2, classes=3, size=64):
    torch.manual_seed(0)
    return [torch.randn(images, 4 + classes, size // s, size // s).abs().requires_grad_() for s in STRIDES]


def objects(images=2, count=3, classes=3):
    boxes = torch.stack([random_boxes(count).clamp(max=64) for _ in range(images)])
    labels = torch.randint(0, classes, (images, count))
    return {"boxes": boxes, "labels": labels, "crowd": torch.zeros_like(labels, dtype=torch.bool)}


def test_box_losses_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    boxes, targets = random_boxes(50), random_boxes(50)
    torch.testing.assert_close(giou(boxes, targets), generalized_box_iou(boxes, targets).diagonal())
    torch.testing.assert_close(ciou(boxes, targets), complete_box_iou(boxes, targets).diagonal(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", [giou, ciou])
def test_boxes_without_an_area_have_finite_gradients(loss) -> None:
    boxes = torch.tensor([[5.0, 5.0, 5.0, 5.0], [9.0, 9.0, 9.0, 20.0]], requires_grad=True)
    value = (1 - loss(boxes, torch.tensor([[0.0, 0.0, 10.0, 10.0], [9.0, 9.0, 9.0, 9.0]]))).sum()
    value.backward()
    assert boxes.grad.isfinite().all()


def test_varifocal_weighs_objects_by_their_targets_and_focuses_on_hard_background() -> None:
    logits, targets = torch.tensor([0.0, 2.0, -2.0]), torch.tensor([0.5, 0.0, 0.0])
    found, plain = varifocal(logits, targets), bce(logits, targets)
    assert found[0] == pytest.approx(float(plain[0]) * 0.5)
    p = torch.sigmoid(torch.tensor(2.0))
    assert found[1] == pytest.approx(float(plain[1] * 0.75 * p**2))


@pytest.mark.parametrize("classes", CLASS_LOSSES)
@pytest.mark.parametrize("boxes", BOX_LOSSES)
def test_the_loss_falls_when_it_is_minimized(classes, boxes) -> None:
    given, targets = maps(), objects()
    loss = DetectionLoss({classes: 1.0, boxes: 2.5}, STRIDES)
    optimizer, values = torch.optim.Adam(given, 0.05), []
    for _ in range(60):
        total, weight = loss([torch.cat([one[:, :4].relu(), one[:, 4:]], 1) for one in given], targets)
        optimizer.zero_grad()
        (total / weight.clamp(min=1)).backward()
        optimizer.step()
        values.append(float(total.detach() / weight.clamp(min=1)))
    assert values[-1] < 0.5 * values[0]


def test_batches_without_objects_have_a_finite_loss_and_gradient() -> None:
    given = maps()
    targets = {
        "boxes": torch.zeros(2, 1, 4), "labels": torch.full((2, 1), -1), "crowd": torch.zeros(2, 1, dtype=torch.bool)
    }  # fmt: skip
    total, weight = DetectionLoss({"varifocal": 1.0, "giou": 2.5}, STRIDES)(given, targets)
    total.backward()
    assert weight == 0
    assert total > 0
    assert all(one.grad.isfinite().all() for one in given)


def test_the_sums_of_a_batch_are_those_of_its_images() -> None:
    given, targets = maps(), objects()
    loss = DetectionLoss({"varifocal": 1.0, "giou": 2.5}, STRIDES)
    whole = loss(given, targets)
    single = [loss([one[n : n + 1] for one in given], {k: v[n : n + 1] for k, v in targets.items()}) for n in range(2)]
    torch.testing.assert_close(whole[0], single[0][0] + single[1][0])
    torch.testing.assert_close(whole[1], single[0][1] + single[1][1])


def test_a_loss_in_half_precision_is_computed_in_single() -> None:
    given, targets = maps(), objects()
    loss = DetectionLoss({"varifocal": 1.0, "giou": 2.5}, STRIDES)
    total, _ = loss([one.detach().bfloat16() for one in given], targets)
    assert total.dtype == torch.float32


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"varifokal": 1.0, "giou": 1.0}, 'unknown loss "varifokal". Did you mean "varifocal"?'),
        ({"varifocal": 1.0}, "expected one of giou and ciou, got none."),
        ({"varifocal": 1.0, "bce": 1.0, "giou": 1.0}, "expected one of varifocal and bce, got varifocal and bce."),
        ({"bce": 0.0, "giou": 1.0}, "expected a weight greater than 0, got 0.0."),
        ({}, "expected one of varifocal and bce, got none."),
    ],
)
def test_wrong_losses_are_refused(terms, said) -> None:
    assert said in loss_problems(terms)[0].message
    with pytest.raises(ConfigError, match="loss"):
        DetectionLoss(terms, STRIDES)
