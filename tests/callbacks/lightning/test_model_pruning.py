import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import callbacks
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn

from cuelight import registry
from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.errors import ConfigError, CuelightError
from support.comparing import same, weights_of
from support.trainers import fit


class Model(BoringModel):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.backbone = nn.ModuleDict(
            {"layer1": nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32)), "layer4": nn.Linear(32, 32)}
        )

    def forward(self, x):
        return self.layer(self.backbone["layer4"](self.backbone["layer1"](x)))


def train(*callbacks, epochs=1, resume=None, model=Model, **options):
    limits = {"limit_train_batches": 2, "limit_val_batches": 1}
    return fit(None, callbacks, model, None, resume, max_epochs=epochs, **limits | options)[1]


def zeros(model):
    shares = {name: float((parameter == 0).float().mean()) for name, parameter in model.named_parameters()}
    return {name: share for name, share in shares.items() if share > 0}


@pytest.mark.parametrize(
    ("patterns", "pruned"),
    [
        ("layer1.*", {"backbone.layer1.0.weight", "backbone.layer1.1.weight"}),
        ("backbone.layer1", {"backbone.layer1.0.weight", "backbone.layer1.1.weight"}),
        ("layer1.1", {"backbone.layer1.1.weight"}),
        (["layer4", "layer1.0"], {"backbone.layer4.weight", "backbone.layer1.0.weight"}),
        ("layer?", {"backbone.layer4.weight", "backbone.layer1.0.weight", "backbone.layer1.1.weight"}),
        ((), {"layer.weight", "backbone.layer4.weight", "backbone.layer1.0.weight", "backbone.layer1.1.weight"}),
    ],
)
def test_patterns_select_the_layers_to_prune(patterns, pruned):
    callback = ModelPruning("l1_unstructured", patterns, ["weight"], amount=0.5, use_lottery_ticket_hypothesis=False,
                            use_global_unstructured=False)  # fmt: skip
    model = train(callback)
    assert zeros(model) == dict.fromkeys(pruned, pytest.approx(0.5))
    assert isinstance(callback, callbacks.ModelPruning)


def test_amount_may_be_a_number_of_weights():
    model = train(ModelPruning("random_unstructured", "layer4", ["weight"], amount=10))
    assert zeros(model) == {"backbone.layer4.weight": pytest.approx(10 / 1024)}


def test_structured_pruning_by_layer_name():
    model = train(ModelPruning("ln_structured", "layer4", ["weight"], use_global_unstructured=False, amount=4,
                             pruning_dim=0, pruning_norm=2))  # fmt: skip
    assert int((model.backbone["layer4"].weight.abs().sum(dim=1) == 0).sum()) == 4


def test_a_pattern_that_matches_nothing():
    with pytest.raises(CuelightError, match=r'no prunable layer matches "layer5"\. Did you mean "layer"\? Available: '):
        train(ModelPruning("l1_unstructured", "layer5"))


@pytest.mark.parametrize("lottery", [False, True])
@pytest.mark.parametrize("all_layers", [False, True])
def test_resumed_equals_uninterrupted(tmp_path, lottery, all_layers):
    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "one.ckpt")

    def new():
        return ModelPruning("l1_unstructured", "layer1", amount=0.4, use_lottery_ticket_hypothesis=lottery,
                            use_global_unstructured=all_layers)  # fmt: skip

    whole = train(new(), Save(), epochs=3)
    resumed = train(new(), epochs=3, resume=tmp_path / "one.ckpt")
    assert same(weights_of(whole), weights_of(resumed))


def test_weights_go_back_to_their_first_values_every_time():
    first = Model().backbone["layer4"].weight.detach()
    layer = train(ModelPruning("l1_unstructured", "layer4", amount=0.1), epochs=3).backbone["layer4"].weight
    kept = layer != 0
    assert kept.any()
    assert torch.equal(layer[kept], first[kept])


class Watch(pl.Callback):
    """Notes the weights that are measured and those that are saved."""

    def __init__(self):
        self.measured, self.saved = [], []

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if not trainer.sanity_checking:
            self.measured.append(pl_module.backbone["layer4"](torch.eye(32)).clone())

    def on_train_epoch_end(self, trainer, pl_module):
        self.saved.append(pl_module.backbone["layer4"](torch.eye(32)).detach().clone())


@pytest.mark.parametrize("each_epoch", [True, False])
@pytest.mark.parametrize("lottery", [True, False])
def test_saved_weights_are_those_that_were_validated(each_epoch, lottery):
    watch = Watch()
    callback = ModelPruning("l1_unstructured", "layer4", ["weight"], amount=0.5, use_lottery_ticket_hypothesis=lottery,
                            prune_on_train_epoch_end=each_epoch)  # fmt: skip
    model = train(callback, watch, epochs=2)
    assert len(watch.measured) == 2
    for measured, saved in zip(watch.measured, watch.saved, strict=True):
        assert torch.equal(measured, saved)
    assert zeros(model) == {"backbone.layer4.weight": pytest.approx(0.75)}  # once per epoch


def test_an_epoch_of_many_validations_prunes_at_its_last():
    watch = Watch()
    callback = ModelPruning("l1_unstructured", "layer4", ["weight"], amount=0.5, use_lottery_ticket_hypothesis=False)
    model = train(callback, watch, val_check_interval=1)
    assert len(watch.measured) == 2
    assert zeros(model) == {"backbone.layer4.weight": pytest.approx(0.5)}
    assert torch.equal(watch.measured[1], watch.saved[0])


def test_without_validation_the_end_of_the_epoch_prunes():
    callback = ModelPruning("l1_unstructured", "layer4", ["weight"], amount=0.5)
    assert zeros(train(callback, epochs=2, limit_val_batches=0)) == {"backbone.layer4.weight": pytest.approx(0.75)}


def test_a_resume_cannot_leave_out_what_was_pruned(tmp_path):
    saved = callbacks.ModelCheckpoint(tmp_path, filename="one")
    train(ModelPruning("l1_unstructured", "layer4", ["weight"]), saved)
    with pytest.raises(CuelightError, match=r"has pruned backbone.layer4.weight, which parameters_to_prune leaves out"):
        train(ModelPruning("l1_unstructured", "layer1", ["weight"]), epochs=2, resume=tmp_path / "one.ckpt")


def test_a_resume_within_the_validation_prunes_no_more(tmp_path):
    class Save(pl.Callback):
        def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
            if not trainer.sanity_checking:
                trainer.save_checkpoint(tmp_path / "validation.ckpt")

    def new():
        return ModelPruning("l1_unstructured", "layer4", ["weight"], amount=0.5, use_lottery_ticket_hypothesis=False)

    train(new(), Save())
    model = train(new(), resume=tmp_path / "validation.ckpt")
    assert zeros(model) == {"backbone.layer4.weight": pytest.approx(0.5)}


def test_the_first_values_are_those_of_the_first_training(tmp_path):
    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "one.ckpt")

    train(ModelPruning("l1_unstructured", "layer4", amount=0.1), Save())
    other = Model()
    torch.nn.init.ones_(other.backbone["layer4"].weight)  # as a model built without its pretrained weights
    train(ModelPruning("l1_unstructured", "layer4", amount=0.1), epochs=2, resume=tmp_path / "one.ckpt", model=other)
    layer, first = other.backbone["layer4"].weight, Model().backbone["layer4"].weight
    assert torch.equal(layer[layer != 0], first[layer != 0])


def test_pruning_that_could_not_be_loaded_again_is_refused():
    part = {"name": "ModelPruning", "params": {"pruning_fn": "l1_unstructured", "make_pruning_permanent": False}}
    with pytest.raises(ConfigError, match="neither tested nor resumed"):
        registry.callbacks.build(part)


def test_a_plan_warns_of_weights_that_go_back():
    [warning] = ModelPruning("l1_unstructured").check(None, [])
    assert "initial values" in warning.message
    assert not list(ModelPruning("l1_unstructured", use_lottery_ticket_hypothesis=False).check(None, []))
