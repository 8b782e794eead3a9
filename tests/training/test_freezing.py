import math

import pytest

from cuelight.config.schema import FrozenLayers
from cuelight.errors import ConfigError
from cuelight.tasks import ClassificationModel
from cuelight.training.freezing import freeze, freeze_for_training, frozen_in
from support.tiny import TinyModel


@pytest.fixture
def model():
    return ClassificationModel("test_resnet", num_classes=3, input_size=(32, 32))


def entries(*given):
    return [FrozenLayers(match=one) if isinstance(one, str) else FrozenLayers(**one) for one in given]


def test_frozen_layers_keep_their_statistics(model) -> None:
    freeze(model, {"a": "backbone.conv1", "b": "backbone.bn1", "c": "backbone.layer1"})
    assert not model.backbone.layer1.training
    assert model.backbone.layer2.training


def test_freezing_is_undone_exactly(model) -> None:
    freeze(model, {"": "backbone.conv1"})
    before = [(part.training, [one.requires_grad for one in part.parameters()]) for part in model.modules()]
    undo = freeze(model, {"a": "backbone.conv1", "b": "backbone"})
    assert not any(one.requires_grad for one in model.parameters())
    assert not any(part.training for part in model.backbone.modules())
    undo()
    assert before == [(part.training, [one.requires_grad for one in part.parameters()]) for part in model.modules()]


def test_what_a_model_freezes_itself_keeps_its_mode() -> None:
    model = TinyModel()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    freeze(model, {})
    assert all(part.training for part in model.modules())


def test_what_is_frozen_follows_from_the_epoch() -> None:
    given = entries("stem", {"match": "layer1", "until_epoch": 2})
    assert frozen_in(0, given) == frozen_in(1, given) == {"model.freeze.0": "stem", "model.freeze.1": "layer1"}
    assert frozen_in(2, given) == frozen_in(math.inf, given) == {"model.freeze.0": "stem"}


def test_what_is_trained_later_is_left_to_the_optimizer(model) -> None:
    freeze_for_training(model, entries("backbone.conv1", {"match": "backbone.layer*", "until_epoch": 1}))
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("backbone.conv1")}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["backbone.layer9"], r"model\.freeze\.0: no parameter of the model matches"),
        (
            ["backbone.fc", {"match": "layer9", "until_epoch": 1}],
            r"model\.freeze\.1: no parameter of the model matches",
        ),
        (
            ["backbone.layer*", {"match": "backbone.layer1", "until_epoch": 1}],
            r'model\.freeze\.1: "backbone\.layer1" is frozen for the whole training by another entry',
        ),
        ([{"match": "*", "until_epoch": 1}], r"model\.freeze: all parameters of the model are frozen at first"),
        (
            ["backbone.fc", {"match": "backbone.[!f]*", "until_epoch": 1}],
            "all parameters of the model are frozen at first",
        ),
    ],
)
def test_mistakes_are_named(model, given, message) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze_for_training(model, entries(*given))
