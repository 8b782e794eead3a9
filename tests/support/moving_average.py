"""A moving average kept by hand, to compare with."""

import math

import lightning.pytorch as pl
import torch


def weights_of(module):
    """A copy of all that is in the state dict of a module."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    """Whether two state dicts are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def near(one, other):
    """Whether two state dicts are equal but for rounding."""
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-6) for name in one
    )


class AverageByHand(pl.Callback):
    """Averages copies of the weights after each batch that changed a parameter."""

    def __init__(self, decay=0.9, tau=5):
        self.decay, self.tau = decay, tau
        self.average, self.raw, self.updates = {}, {}, 0

    def on_train_start(self, trainer, pl_module):
        if not self.average:
            self.average = self.raw = weights_of(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        before, self.raw = self.raw, weights_of(pl_module)
        if any(not torch.equal(before[name], self.raw[name]) for name, _ in pl_module.named_parameters()):
            self.step(self.raw)

    def step(self, weights):
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.tau)) if self.tau else self.decay
        self.average = {
            name: decay * self.average[name] + (1 - decay) * value if value.is_floating_point() else value
            for name, value in weights.items()
        }
