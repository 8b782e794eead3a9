"""A layout of the weights that changes how they are computed with, and nothing else."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from cuelight.callbacks.channels_last import ChannelsLast
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.errors import CuelightError
from support.trainers import quiet_trainer


class Network(pl.LightningModule):
    """Two convolutions and a linear layer; notes in which layout each training step computed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3))
        self.head = nn.Linear(6, 2)
        self.computed_last: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        self.computed_last.append(is_last(features))
        return self.head(features.mean((2, 3)))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, targets = batch
        return nn.functional.cross_entropy(self(images), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def is_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


def train(
    directory: Path,
    *callbacks: pl.Callback,
    epochs: int = 2,
    resume: Path | None = None,
    network: type[Network] = Network,
) -> tuple[pl.Trainer, Network]:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(12, 3, 10, 10), torch.arange(12) % 2)
    trainer = quiet_trainer(directory, callbacks, max_epochs=epochs)
    module = network()
    trainer.fit(module, DataLoader(data, batch_size=4), ckpt_path=resume, weights_only=True)
    return trainer, module


def test_each_step_computes_with_channels_last(tmp_path: Path) -> None:
    _, without = train(tmp_path)
    _, module = train(tmp_path, ChannelsLast())

    assert module.computed_last == [True] * 6
    assert without.computed_last == [False] * 6


def test_learns_the_same_up_to_rounding(tmp_path: Path) -> None:
    _, without = train(tmp_path)
    _, module = train(tmp_path, ChannelsLast())

    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, without.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    trainer, _ = train(tmp_path, ChannelsLast(), epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    _, resumed = train(tmp_path, ChannelsLast(), resume=tmp_path / "one.ckpt")
    _, whole = train(tmp_path, ChannelsLast())

    assert resumed.computed_last == [True] * 3
    assert all(map(torch.equal, resumed.state_dict().values(), whole.state_dict().values()))


@pytest.mark.parametrize(("before", "after"), [([], [ChannelsLast]), ([ChannelsLast], [])])
def test_goes_on_from_a_checkpoint_of_the_other_layout(tmp_path: Path, before: list, after: list) -> None:
    trainer, _ = train(tmp_path, *(callback() for callback in before), epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    _, resumed = train(tmp_path, *(callback() for callback in after), resume=tmp_path / "one.ckpt")
    _, whole = train(tmp_path)

    assert resumed.computed_last == [bool(after)] * 3
    for name, value in resumed.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_average_has_the_same_layout_and_numbers(tmp_path: Path) -> None:
    _, without = train(tmp_path, EMACallback())
    _, module = train(tmp_path, ChannelsLast(), EMACallback())

    assert is_last(module.features[0].weight)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, without.state_dict()[name], rtol=1e-3, atol=1e-4)


class LateNetwork(Network):
    """Has no convolutions before ``configure_model``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = None

    def configure_model(self) -> None:
        if self.features is None:
            self.features = Network().features


@pytest.mark.parametrize("callbacks", [[ChannelsLast, EMACallback], [EMACallback, ChannelsLast]])
def test_layers_made_in_configure_model(tmp_path: Path, callbacks: list) -> None:
    def fit_late(epochs: int, resume: Path | None = None) -> tuple[pl.Trainer, Network]:
        made = [callback() for callback in callbacks]
        return train(tmp_path, *made, epochs=epochs, resume=resume, network=LateNetwork)

    trainer, _ = fit_late(1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    _, resumed = fit_late(2, tmp_path / "one.ckpt")
    _, whole = fit_late(2)

    assert whole.computed_last == [True] * 6
    assert resumed.computed_last == [True] * 3
    assert is_last(resumed.features[0].weight)  # the average
    assert "configure_model" not in vars(whole)
    assert all(map(torch.equal, resumed.state_dict().values(), whole.state_dict().values()))


class MixedNetwork(Network):
    """Has layers whose weights cannot be laid out so."""

    def __init__(self) -> None:
        super().__init__()
        self.solid = nn.Conv3d(1, 1, 1)
        self.lazy = nn.LazyConv2d(6, 3)
        self.table = nn.Parameter(torch.zeros(2, 3, 4, 5))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.lazy(images).mean() + self.solid(images[:, :1, None]).mean()


def test_other_weights_stay_as_they_are(tmp_path: Path) -> None:
    _, module = train(tmp_path, ChannelsLast(), network=MixedNetwork)

    assert module.computed_last == [True] * 6
    assert module.table.is_contiguous()


PRUNED_ALONE = {"pruning_fn": "l1_unstructured", "use_global_unstructured": False}
PRUNED_CHANNELS = {"pruning_fn": "ln_structured", "pruning_dim": 0, "pruning_norm": 1, "use_global_unstructured": False}


@pytest.mark.parametrize("params", [{"pruning_fn": "l1_unstructured"}, PRUNED_ALONE])
def test_single_weights_cannot_be_pruned_beside_it(tmp_path: Path, params: dict) -> None:
    with pytest.raises(CuelightError, match="or prune whole channels: ln_structured or random_structured"):
        train(tmp_path, ModelPruning(**params), ChannelsLast())


def test_channels_can_be_pruned(tmp_path: Path) -> None:
    pruning = ModelPruning(**PRUNED_CHANNELS, parameters_to_prune="features.0", parameter_names=["weight"], amount=0.5)
    _, module = train(tmp_path, ChannelsLast(), pruning, epochs=1)

    assert module.computed_last == [True] * 3
    assert (module.features[0].weight.flatten(1) == 0).all(1).sum() == 4


def test_an_optimizer_that_cannot_work_beside_it(tmp_path: Path) -> None:
    class WithLBFGS(Network):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.LBFGS(self.parameters())

    with pytest.raises(CuelightError, match="ChannelsLast and LBFGS"):
        train(tmp_path, ChannelsLast(), network=WithLBFGS)


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    module = Network()
    trainer = quiet_trainer(callbacks=[ChannelsLast()], accelerator="cuda", devices=1, precision="16-mixed")
    data = TensorDataset(torch.randn(8, 3, 10, 10), torch.arange(8) % 2)
    trainer.fit(module, DataLoader(data, batch_size=4))

    assert module.computed_last == [True] * 2
