import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cuelight.errors import CheckpointError
from cuelight.weights.initial import load_what_fits, read_weights


class Wrapped(nn.Module):
    """A network inside of a model, as in Cuelight."""

    def __init__(self, classes=3):
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))


def weights(classes=3):
    torch.manual_seed(1)
    state = Wrapped(classes).state_dict()
    state["network.3.weight"][:, 0] = 0  # as if pruned
    return state


def pruned(plain):
    """While they are masked, with values under the mask that are not used."""
    mask = (plain["3.weight"] != 0).float()
    masked = {"3.weight_orig": plain["3.weight"] + (1 - mask), "3.weight_mask": mask}
    return {name: value for name, value in plain.items() if name != "3.weight"} | masked


def saved(path, how):
    plain = {name.removeprefix("network."): value for name, value in weights().items()}
    if how == "safetensors":
        save_file(pruned(plain), path.with_suffix(".safetensors"))
        return path.with_suffix(".safetensors")
    torch.save(
        {
            "checkpoint": {"state_dict": weights(), "epoch": 3},
            "plain": plain,
            "of another program": {"model": {f"module.backbone.{name}": value for name, value in plain.items()}},
            "averages of timm": {"state_dict": dict.fromkeys(plain, torch.zeros(1)), "state_dict_ema": plain},
            "averages of torchvision": {"model": dict.fromkeys(plain, torch.zeros(1)), "model_ema": plain},
            "average without weights": {"model": plain, "model_ema": {"decay": 0.99, "module": plain}},
            "pruned": pruned(plain),
        }[how],
        path,
    )
    return path


@pytest.mark.parametrize(
    "how",
    [
        "checkpoint",
        "plain",
        "of another program",
        "averages of timm",
        "averages of torchvision",
        "average without weights",
        "pruned",
        "safetensors",
    ],
)
def test_weights_are_found_under_any_prefix(tmp_path, how) -> None:
    file = saved(tmp_path / "weights.pt", how)
    torch.manual_seed(2)
    model = Wrapped()
    lines = load_what_fits(model, read_weights(file), file)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, weights()[name], rtol=0, atol=0)
    assert lines == [f"{file}: 9 of the 9 weights of the model are taken from it."]


def test_a_head_of_other_classes_stays_new_and_is_named() -> None:
    model = Wrapped(classes=5)
    before = model.network[3].weight.clone()
    lines = load_what_fits(model, weights() | {"network.9.weight": torch.ones(1)}, "a.ckpt")
    torch.testing.assert_close(model.network[0].weight, weights()["network.0.weight"])
    torch.testing.assert_close(model.network[3].weight, before)
    assert lines == [
        "a.ckpt: 7 of the 9 weights of the model are taken from it.",
        (
            "  of another shape, so new here: network.3.weight (3x4 in the file, 5x4 here), "
            "network.3.bias (3 in the file, 5 here)"
        ),
        "  in the file alone: network.9.weight",
    ]


def test_weights_outside_of_the_prefix_are_named() -> None:
    given = {name.replace("network.", "backbone."): value for name, value in weights().items()}
    lines = load_what_fits(Wrapped(), given | {"head.weight": torch.ones(2)}, "a.ckpt")
    assert lines[1:] == ["  in the file alone: head.weight"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "there are no weights in this file"),
        ([1], "there are no weights in this file"),
    ],
)
def test_a_file_without_weights(tmp_path, content, message) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / "a.pt")


def test_a_damaged_safetensors_file(tmp_path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_weights(tmp_path / "a.safetensors")


def test_weights_of_another_network() -> None:
    with pytest.raises(CheckpointError, match=r"none of its 1 weights fits .* there is other\.weight, .* network\.0"):
        load_what_fits(Wrapped(), {"other.weight": torch.ones(7)}, "a.ckpt")


def test_weights_that_are_not_finite() -> None:
    bad = weights() | {"network.0.bias": torch.full((4,), torch.nan)}
    with pytest.raises(CheckpointError, match=r"NaN or infinity in network\.0\.bias"):
        load_what_fits(Wrapped(), bad, "a.ckpt")
