"""What is said about a decay is true of the average that it makes."""

import re

import pytest
import torch
from torch import nn

from cuelight.callbacks.ema.advice import better_values, initial_share, reach, training_warning
from cuelight.weights.averaging import AveragedWeights, decay_at

TABLE = [
    (0.8, 2, 16), (0.9, 1, 10), (0.9, None, 20), (0.5, 2000, 400), (0.999, 2000, 440), (0.999, None, 440),
    (0.99, 50, 5000), (0.0, None, 7),
]  # fmt: skip


def shares_by_training(decay, tau, updates):
    """The share of the weights of each step in the average, the initial ones first: each has a value of its own."""
    module = nn.Linear(updates + 1, 1, bias=False).double()
    rows = torch.eye(updates + 1, dtype=torch.float64)
    module.weight.data.copy_(rows[:1])
    average = AveragedWeights(module)
    for update in range(1, updates + 1):
        module.weight.data.copy_(rows[update : update + 1])
        average.update(decay_at(update, decay, tau))
    with average.in_model():
        return module.weight.detach().flatten().clone()


@pytest.mark.parametrize(("decay", "tau", "updates"), TABLE)
def test_reach_and_initial_share_are_those_of_the_average(decay, tau, updates) -> None:
    shares = shares_by_training(decay, tau, updates)
    ages = torch.arange(updates, -1, -1, dtype=torch.float64)
    assert shares.sum() == pytest.approx(1)
    assert initial_share(updates, decay, tau) == pytest.approx(shares[0].item(), abs=1e-12)
    assert reach(updates, decay, tau) == pytest.approx(1 + (shares * ages).sum().item())


@pytest.mark.parametrize("updates", [10, 11, 16, 25, 49, 50, 75, 100, 440, 3000, 20_000, 100_000])
def test_advised_values_are_suitable_and_cover_what_is_said(updates) -> None:
    warning = training_warning(updates, 0.5, 2000)
    said = re.search(r"last (\d+) updates \((\d+)% of them\), set decay: ([\d.]+), decay_tau: (\d+)", warning)
    covered, percent, decay, tau = (float(number) for number in said.groups())
    assert (decay, tau) == better_values(updates)
    assert training_warning(updates, decay, tau) == ""
    assert reach(updates, decay, tau) == pytest.approx(covered, abs=0.51)
    assert 100 * reach(updates, decay, tau) / updates == pytest.approx(percent, abs=0.51)
    if updates >= 50:
        assert 5 <= percent <= 10
    else:
        assert 4 <= covered <= 5


@pytest.mark.parametrize("decay_tau_updates", [(0.8, 2, 16), (0.8, None, 20), (0.97, 50, 500), (0.9997, 2000, 50_000)])
def test_nothing_is_said_of_suitable_values(decay_tau_updates) -> None:
    decay, tau, updates = decay_tau_updates
    assert training_warning(updates, decay, tau) == ""


@pytest.mark.parametrize(
    ("decay", "tau", "updates", "said"),
    [
        (0.5, 1, 100, "with decay 0.5, the average covers at most about 2 updates"),
        (0.999, 2000, 440, "decay_tau 2000 is too large for 440 updates, and the decay reaches only 0.2."),
        (0.999, None, 440, "they still contribute 64% after 440 updates"),
        (0.999, None, 440, "use_dynamic_decay: true."),
        (0.99, 1, 20, "with decay 0.99 and decay_tau 1, they still contribute"),
        (0.8, None, 5, "5 updates are too few for an average"),
        (0.5, 2000, 10**6, "It is common to average over the last 5 to 10 % of the updates."),
        (0.9, 5, 0, "never updates the average"),
    ],
)
def test_what_is_said(decay, tau, updates, said) -> None:
    assert said in training_warning(updates, decay, tau)
