import pytest
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader

from cuelight.config.schema import OptimizerPart, SchedulerPart
from cuelight.errors import ConfigError
from cuelight.tasks import ClassificationModel, DetectionModel, SegmentationModel
from cuelight.training.freezing import freeze
from cuelight.training.optimization import Optimization
from cuelight.training.parameter_names import matching_parameters
from cuelight.utils.environment import EnvironmentText
from support.trainers import fit

SGD = {"name": "SGD", "params": {"lr": 0.1, "weight_decay": 0.01}}


class ModuleWith(BoringModel):
    """Has the parameters of a network, and records the learning rates of every optimizer step."""

    def __init__(self, optimization, network):
        super().__init__()
        self.backbone, self.optimization, self.rates = network.backbone, optimization, []

    def configure_optimizers(self):
        return self.optimization(self)

    def on_before_optimizer_step(self, optimizer):
        self.rates.append([group["lr"] for group in optimizer.param_groups])

    def train_dataloader(self):
        return DataLoader(RandomDataset(32, 30))


@pytest.fixture
def model():
    return ClassificationModel("test_resnet", num_classes=3, input_size=(32, 32))


def settings(model, **part):
    """Learning rate and weight decay of each trained parameter, by its name."""
    optimizer = Optimization(OptimizerPart(**SGD, **part))(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_one_group_without_settings(model) -> None:
    optimizer = Optimization(OptimizerPart(**SGD))(model)
    assert len(optimizer.param_groups) == 1
    assert len(optimizer.param_groups[0]["params"]) == len(list(model.parameters()))


def test_groups_have_their_settings_and_the_last_one_counts(model) -> None:
    groups = [
        {"match": "backbone.layer*", "params": {"lr": 0.01}},
        {"match": "backbone.layer2", "params": {"lr": 0.02, "weight_decay": 0.0}},
    ]
    found = settings(model, groups=groups)
    assert {value for name, value in found.items() if name.startswith("backbone.layer1")} == {(0.01, 0.01)}
    assert {value for name, value in found.items() if name.startswith("backbone.layer2")} == {(0.02, 0.0)}
    assert found["backbone.fc.weight"] == (0.1, 0.01)
    assert len(found) == len(list(model.parameters()))


def test_norms_and_biases_without_weight_decay(model) -> None:
    found = settings(model, decay_norms=False)
    by_dimensions = {parameter.ndim: found[name][1] for name, parameter in model.named_parameters()}
    assert by_dimensions == {1: 0.0, 2: 0.01, 4: 0.01}


def test_norms_and_biases_have_no_weight_decay_in_groups_either(model) -> None:
    groups = [{"match": "backbone.*", "params": {"weight_decay": 0.02}}]
    found = settings(model, decay_norms=False, groups=groups)
    by_dimensions = {parameter.ndim: found[name][1] for name, parameter in model.named_parameters()}
    assert by_dimensions == {1: 0.0, 2: 0.02, 4: 0.02}


def test_weight_decay_of_norms_alone_contradicts(model) -> None:
    groups = [{"match": "backbone.*.bias", "params": {"weight_decay": 0.02}}]
    with pytest.raises(ConfigError, match=r"groups\.0\.params\.weight_decay: decay_norms: false"):
        settings(model, decay_norms=False, groups=groups)


def test_an_optimizer_without_weight_decay_has_one_group(model) -> None:
    optimizer = Optimization(OptimizerPart(name="LBFGS", decay_norms=False))(model)
    assert len(optimizer.param_groups) == 1


def test_numbers_of_a_group_may_come_from_the_environment(model) -> None:
    groups = [{"match": "backbone.fc", "params": {"lr": EnvironmentText("0.5", "${env:LR}")}}]
    assert settings(model, groups=groups)["backbone.fc.weight"] == (0.5, 0.01)


def test_layer_decay_lowers_the_rates_towards_the_input(model) -> None:
    found = settings(model, layer_decay=0.5)
    chosen = ["conv1.0.weight", "layer1.0.conv1.weight", "layer2.0.conv1.weight", "fc.weight"]
    rates = [next(rate for name, (rate, _) in found.items() if name.endswith(end)) for end in chosen]
    assert rates == sorted(rates)
    assert rates[0] < rates[1] < rates[2] < rates[3] == 0.1


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_vit"])
def test_layer_decay_counts_the_rest_of_a_detector_as_one_more_layer(backbone) -> None:
    strides = {"strides": [16]} if backbone == "test_vit" else {}
    model = DetectionModel(backbone, num_classes=3, input_size=(64, 64), **strides)
    rates = {name: rate for name, (rate, _) in settings(model, layer_decay=0.5).items()}
    of_backbone = [rate for name, rate in rates.items() if name.startswith("network.backbone.")]
    assert {rate for name, rate in rates.items() if not name.startswith("network.backbone.")} == {0.1}
    assert max(of_backbone) == pytest.approx(0.05)
    assert of_backbone[0] == min(of_backbone) <= 0.0125
    assert len(set(of_backbone)) >= 3


def test_layer_decay_of_an_encoder() -> None:
    model = SegmentationModel("Unet", "test_resnet", num_classes=3, input_size=(64, 64))
    rates = {name: rate for name, (rate, _) in settings(model, layer_decay=0.5).items()}
    first, last = (rates[f"network.encoder.model.{name}.weight"] for name in ("conv1.0", "layer4.0.conv1"))
    assert first < last == pytest.approx(0.05)
    assert rates["network.segmentation_head.0.weight"] == 0.1


def test_layer_decay_needs_an_order_of_layers() -> None:
    model = SegmentationModel("Unet", "mit_b0", num_classes=3, input_size=(64, 64))
    with pytest.raises(ConfigError, match=r"trainer\.optimizer\.layer_decay: timm does not know the order"):
        settings(model, layer_decay=0.5)


@pytest.mark.parametrize(("match", "highest"), [("backbone.fc", [0.3, 3.0]), ("*", [3.0])])
def test_a_schedule_keeps_the_ratios(model, match, highest) -> None:
    groups = [{"match": match, "params": {"lr": 1.0}}]
    schedule = SchedulerPart(name="OneCycleLR", interval="step", params={"max_lr": 0.3})
    module = ModuleWith(Optimization(OptimizerPart(**SGD, groups=groups), schedule), model)
    _, module = fit(None, model=module, data=None, max_epochs=1, limit_val_batches=0)
    assert [max(rates) for rates in zip(*module.rates, strict=True)] == pytest.approx(highest, rel=0.05)


@pytest.mark.parametrize("groups", [[], [{"match": "backbone.fc", "params": {"lr": 1.0}}]])
def test_a_rate_of_0_has_a_schedule(model, groups) -> None:
    schedule = SchedulerPart(name="OneCycleLR", interval="step", params={"max_lr": 0.3})
    module = ModuleWith(Optimization(OptimizerPart(name="SGD", params={"lr": 0.0}, groups=groups), schedule), model)
    _, module = fit(None, model=module, data=None, max_epochs=1, limit_val_batches=0)
    assert max(rates[0] for rates in module.rates) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"match": "backbone.lyer1", "params": {}}, r"groups\.0\.match: no parameter .* matches .*backbone\.layer1"),
        ({"match": "*", "params": {"rate": 1}}, r'groups\.0\.params\.rate: SGD has no parameter "rate"'),
        ({"match": "*", "params": {"lr": "abc"}}, r'groups\.0\.params\.lr: expected a number.*, got the text "abc"'),
        ({"match": "*", "params": {"lr": None}}, r"groups\.0\.params\.lr: expected a number.*, got nothing"),
        (
            {"match": "*", "params": {"lr": -0.1}},
            r"groups\.0\.params: invalid parameters for SGD: Invalid learning",
        ),
    ],
)
def test_mistakes_are_named(model, group, message) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(model, groups=[group])


def test_frozen_parameters_are_in_no_group(model) -> None:
    freeze(model, {"": "backbone.layer1"})
    found = settings(model, groups=[{"match": "backbone.layer*", "params": {"lr": 0.01}}])
    assert not [name for name in found if name.startswith("backbone.layer1")]
    assert {rate for name, (rate, _) in found.items() if name.startswith("backbone.layer2")} == {0.01}


def test_patterns_match_layers_and_parameters(model) -> None:
    assert matching_parameters(model, "backbone.fc", "") == ["backbone.fc.weight", "backbone.fc.bias"]
    assert matching_parameters(model, "*.bias", "") == [n for n, _ in model.named_parameters() if n.endswith(".bias")]
    assert len(matching_parameters(model, "backbone", "")) == len(list(model.parameters()))
