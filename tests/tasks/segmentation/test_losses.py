"""Losses of segmentation against their formulas."""

import pytest
import torch
from torch.nn import functional

from cuelight.errors import ConfigError
from cuelight.tasks.segmentation.losses import LOSSES, SegmentationLoss, loss_problems

CLASSES, IGNORED = 4, 255
WEIGHTS = [0.5, 1.0, 2.0, 4.0]


def logits_and_masks(seed=0, ignored=0.2):
    """Random logits, and masks of the first three classes with pixels to ignore."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, CLASSES, 8, 10, generator=generator)
    masks = torch.randint(0, CLASSES - 1, (3, 8, 10), generator=generator)
    masks[torch.rand(3, 8, 10, generator=generator) < ignored] = IGNORED
    return logits.requires_grad_(), masks


def counted(logits, masks):
    """The pixels that count: logits (P, classes) and labels (P,)."""
    return logits.permute(0, 2, 3, 1)[masks != IGNORED], masks[masks != IGNORED]


def cross_entropy(logits, masks, weights):
    pixels, labels = counted(logits, masks)
    losses = -pixels.log_softmax(1)[torch.arange(len(labels)), labels]
    return (losses * weights[labels]).sum() / weights[labels].sum()


def dice(logits, masks, weights):
    pixels, labels = counted(logits, masks)
    probabilities, truth = pixels.softmax(1), functional.one_hot(labels, CLASSES)
    losses = 1 - 2 * (probabilities * truth).sum(0) / (probabilities.sum(0) + truth.sum(0))
    return (losses * (truth.sum(0) > 0) * weights).sum() / weights.sum()


def focal(logits, masks, weights):
    pixels, labels = counted(logits, masks)
    truth = functional.one_hot(labels, CLASSES)
    right = torch.where(truth == 1, pixels.sigmoid(), 1 - pixels.sigmoid())
    return ((-((1 - right) ** 2) * right.log()).mean(0) * weights).sum() / weights.sum()


FORMULAS = {"cross_entropy": cross_entropy, "dice": dice, "focal": focal}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_losses_are_their_formulas(name, weights) -> None:
    logits, masks = logits_and_masks()
    loss = SegmentationLoss(name, IGNORED, weights)(logits, masks)
    expected = FORMULAS[name](logits, masks, torch.tensor(weights or [1.0] * CLASSES))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    [gradient], [expected] = torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


def test_deterministic_algorithms_give_the_same_loss() -> None:
    logits, masks = logits_and_masks()
    loss = SegmentationLoss("cross_entropy", IGNORED, WEIGHTS)
    expected = loss(logits, masks)
    torch.use_deterministic_algorithms(True)
    try:
        torch.testing.assert_close(loss(logits, masks), expected)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_may_be_of_another_precision_as_a_whole(name, dtype) -> None:
    logits, masks = logits_and_masks()
    logits = logits.detach().to(dtype)
    loss = SegmentationLoss(name, IGNORED, WEIGHTS)
    expected = loss(logits.float(), masks)
    assert loss.to(dtype)(logits, masks).item() == expected.item()


def test_a_sum_of_losses() -> None:
    logits, masks = logits_and_masks()
    loss = SegmentationLoss({"cross_entropy": 1.0, "dice": 0.5, "focal": 2.0}, IGNORED)(logits, masks)
    parts = [SegmentationLoss(name, IGNORED)(logits, masks) for name in ("cross_entropy", "dice", "focal")]
    torch.testing.assert_close(loss, parts[0] + 0.5 * parts[1] + 2 * parts[2])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_ignored_pixels_change_neither_loss_nor_gradient(name, weights) -> None:
    loss, results = SegmentationLoss(name, IGNORED, weights), []
    for change in (0.0, 50.0):
        logits, masks = logits_and_masks()
        changed = logits + change * (masks == IGNORED)[:, None] * torch.randn(logits.shape)
        value = loss(changed, masks)
        [gradient] = torch.autograd.grad(value, changed)
        assert (gradient.permute(0, 2, 3, 1)[masks == IGNORED] == 0).all()
        results.append((value, gradient))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=0)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_only_ignored_pixels_are_no_loss(name, weights) -> None:
    logits, masks = logits_and_masks(ignored=1.1)
    loss = SegmentationLoss(name, IGNORED, weights)(logits, masks)
    [gradient] = torch.autograd.grad(loss, logits)
    assert loss == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_logits_that_are_no_numbers_show(name) -> None:
    logits, masks = logits_and_masks()
    with torch.no_grad():
        logits[0, 0, 0, 0] = torch.nan
        masks[0, 0, 0] = 0
    assert SegmentationLoss(name, IGNORED)(logits, masks).isnan()


def test_losses_bring_nothing_into_a_checkpoint() -> None:
    loss = SegmentationLoss(dict.fromkeys(LOSSES, 1.0), IGNORED, WEIGHTS)
    assert not loss.state_dict()
    assert not list(loss.parameters())


@pytest.mark.parametrize(
    ("terms", "path", "message"),
    [
        ("dise", "loss", 'unknown loss "dise". Did you mean "dice"?'),
        ({"crossentropy": 1.0}, "loss", 'Did you mean "cross_entropy"?'),
        ({"dice": 0.0}, "loss.dice", "a weight greater than 0, got 0.0"),
        ({"dice": float("nan")}, "loss.dice", "a weight greater than 0, got nan"),
        ({}, "loss", "expected at least one of: cross_entropy, dice, focal"),
    ],
)
def test_losses_that_there_are_not(terms, path, message) -> None:
    [problem] = loss_problems(terms)
    assert problem.path == path
    assert message in problem.message
    with pytest.raises(ConfigError):
        SegmentationLoss(terms)
