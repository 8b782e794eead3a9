import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import callbacks
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn

from cuelight.callbacks.lightning import ModelPruning
from cuelight.errors import CuelightError


class Model(BoringModel):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.backbone = nn.ModuleDict(
            {"layer1": nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32)), "layer4": nn.Linear(32, 32)}
        )

    def forward(self, x):
        return self.layer(self.backbone["layer4"](self.backbone["layer1"](x)))


def fit(callback, epochs=1, **options):
    torch.manual_seed(0)
    model = Model()
    trainer = pl.Trainer(accelerator="cpu", max_epochs=epochs, limit_train_batches=2, limit_val_batches=1, logger=False,
                         enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                         callbacks=[callback] if isinstance(callback, pl.Callback) else callback)  # fmt: skip
    trainer.fit(model, weights_only=True, **options)
    return model


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
def test_layers_by_name(patterns, pruned):
    callback = ModelPruning("l1_unstructured", patterns, ["weight"], amount=0.5, use_lottery_ticket_hypothesis=False,
                            use_global_unstructured=False)  # fmt: skip
    model = fit(callback)
    assert zeros(model) == dict.fromkeys(pruned, pytest.approx(0.5))
    assert isinstance(callback, callbacks.ModelPruning)


def test_amount_as_a_number_of_weights():
    model = fit(ModelPruning("random_unstructured", "layer4", ["weight"], amount=10))
    assert zeros(model) == {"backbone.layer4.weight": pytest.approx(10 / 1024)}


def test_structured_by_name():
    model = fit(ModelPruning("ln_structured", "layer4", ["weight"], use_global_unstructured=False, amount=4,
                             pruning_dim=0, pruning_norm=2))  # fmt: skip
    assert int((model.backbone["layer4"].weight.abs().sum(dim=1) == 0).sum()) == 4


def test_a_pattern_that_matches_nothing():
    with pytest.raises(CuelightError, match=r'no layer .* matches "layer5"\. Did you mean "layer"\? There are '):
        fit(ModelPruning("l1_unstructured", "layer5"))


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

    whole = fit([new(), Save()], epochs=3)
    resumed = fit(new(), epochs=3, ckpt_path=tmp_path / "one.ckpt")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_weights_go_back_to_their_first_values_every_time():
    first = Model().backbone["layer4"].weight.detach()
    layer = fit(ModelPruning("l1_unstructured", "layer4", amount=0.1), epochs=3).backbone["layer4"].weight
    kept = layer != 0
    assert kept.any()
    assert torch.equal(layer[kept], first[kept])
