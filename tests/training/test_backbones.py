import pytest
import timm
import torch

from cuelight.errors import ConfigError
from cuelight.training.backbones import backbone_problems, build_backbone


def build(backbone, size=(64, 32), channels=1, pretrained=False, **backbone_params):
    return build_backbone(backbone, pretrained, 5, channels, size, 0.0, backbone_params)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet18.a1_in1k", "mobilenetv3_small_050", "test_vit"])
def test_takes_the_shape_of_the_data(backbone):
    assert build(backbone)(torch.zeros(2, 1, 64, 32)).shape == (2, 5)


def test_dropout_and_more_arguments_reach_the_network():
    network = build_backbone("test_resnet", False, 5, 3, (64, 64), 0.3, {"drop_path_rate": 0.2})
    assert network.drop_rate == 0.3
    assert any(type(module).__name__ == "DropPath" for module in network.modules())


@pytest.mark.parametrize(
    ("backbone", "pretrained", "params", "path", "message"),
    [
        ("resnet81", False, {}, "model.params.backbone", 'timm has no network "resnet81". Did you mean "resnet18'),
        ("qqqqqqqqqq", False, {}, "model.params.backbone", 'timm has no network "qqqqqqqqqq".'),
        ("hf-hub:someone/weights", False, {}, "model.params.backbone", "timm has no network"),
        ("local-dir:/tmp", False, {}, "model.params.backbone", "timm has no network"),
        ("resnet18.a1_in2k", False, {}, "model.params.backbone", 'no pretrained weights "a1_in2k". Did you mean'),
        ("resnet18.zzz", False, {}, "model.params.backbone", 'no pretrained weights "zzz". Available: "'),
        ("resnet10t.zzz", False, {}, "model.params.backbone", 'resnet10t has no pretrained weights "zzz".'),
        ("vit_tiny_patch16_384", False, {"num_classes": 3}, "model.params.backbone_params.num_classes", "num_classes"),
        ("resnet18", False, {"checkpoint_path": "a"}, "model.params.backbone_params.checkpoint_path", "cannot be set"),
        ("resnet18", False, {"pretrained_cfg": {}}, "model.params.backbone_params.pretrained_cfg", "cannot be set"),
        ("resnet18", False, {"features_only": True}, "model.params.backbone_params.features_only", "cannot be set"),
    ],
)
def test_problems_are_found_before_building(backbone, pretrained, params, path, message):
    (problem,) = backbone_problems(backbone, pretrained, params, "model.params")
    assert problem.path == path
    assert message in problem.message
    with pytest.raises(ConfigError):
        build(backbone, pretrained=pretrained, **params)


def test_a_network_without_pretrained_weights_says_so():
    without = next(name for name in timm.list_models() if not timm.list_pretrained(name))
    (problem,) = backbone_problems(without, pretrained=True)
    assert f"{without} has no pretrained weights" in problem.message


def test_right_ones_have_no_problems():
    assert backbone_problems("resnet18", pretrained=True, backbone_params={"drop_path_rate": 0.1}) == []


def test_an_argument_that_the_network_does_not_take():
    with pytest.raises(ConfigError, match=r"invalid arguments for test_resnet: .*window"):
        build("test_resnet", window=3)
