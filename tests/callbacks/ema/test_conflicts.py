"""What cannot work beside averaged weights is refused before the training."""

from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    StochasticWeightAveraging,
)
from lightning.pytorch.strategies import FSDPStrategy

from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.errors import CuelightError
from support.averages import DECAY
from support.tiny import TinyModel
from support.trainers import fit


@pytest.mark.parametrize(
    "other",
    [StochasticWeightAveraging(0.1), EMAWeightAveraging(), EMACallback(0.99)],
    ids=lambda c: type(c).__name__,
)
def test_a_second_average_is_refused(tmp_path, other):
    with pytest.raises(CuelightError, match="both replace the weights with their average"):
        fit(tmp_path, [EMACallback(**DECAY), other])


def test_pruning_back_to_first_values_is_refused(tmp_path):
    with pytest.raises(CuelightError, match="use_lottery_ticket_hypothesis: false"):
        fit(tmp_path, [EMACallback(**DECAY), ModelPruning("l1_unstructured")])


def test_flat_sharding_is_refused(tmp_path):
    trainer = SimpleNamespace(strategy=FSDPStrategy(), callbacks=[])
    with pytest.raises(CuelightError, match="ModelParallelStrategy"):
        EMACallback(**DECAY).setup(trainer, TinyModel(), "fit")
