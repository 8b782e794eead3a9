"""Detection networks."""

import pytest
import torch

from cuelight.errors import ConfigError
from cuelight.tasks.detection.model import DetectionModel


@pytest.mark.parametrize(
    ("backbone", "strides", "neck", "activation"),
    [
        ("test_resnet", [8, 16, 32], "fpn", "relu"),
        ("test_resnet", [8, 32], "pan", "silu"),
        ("mobilenetv3_small_050", [4, 8, 16], "pan", "hardswish"),
        ("test_vit", [16], "fpn", "relu"),
        ("swin_tiny_patch4_window7_224", [8, 16], "pan", "relu"),  # channels last
    ],
)
def test_each_stride_has_a_map_of_its_size(backbone, strides, neck, activation) -> None:
    given = {"strides": strides, "neck": neck, "activation": activation, "neck_channels": 8, "head_depth": 1}
    model = DetectionModel(backbone, num_classes=1, in_channels=1, input_size=(64, 96), **given).eval()
    with torch.no_grad():
        maps = model(torch.randn(2, 1, 64, 96))
    assert [tuple(values.shape) for values in maps] == [(2, 5, 64 // stride, 96 // stride) for stride in strides]
    assert all((values[:, :4] >= 0).all() for values in maps)
    scores = torch.cat([values[:, 4:].flatten() for values in maps]).sigmoid()
    assert scores.mean() == pytest.approx(0.01, rel=0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strides": [16, 8]}, "expected strides in ascending order, such as [8, 16, 32]; got [16, 8]."),
        ({"strides": []}, "expected strides in ascending order, such as [8, 16, 32]; got []."),
        ({"loss": {}}, "expected one of varifocal and bce, got none."),
        ({"strides": [8, 12]}, "expected each stride to be a multiple of the one before; got [8, 12]."),
        ({"strides": [8, 8]}, "expected strides in ascending order"),
        ({"strides": [8, 64]}, "test_resnet has no feature map of stride 64. It has those of 2, 4, 8, 16, 32."),
        ({"backbone": "resnet1"}, 'timm has no network "resnet1".'),
        ({"input_size": (100, 64)}, "needs multiples of it, such as 96 x 64."),
        ({"loss": {"varifocal": 1}}, "expected one of giou and ciou, got none."),
        ({"num_classes": 0}, "expected at least 1 class, got 0."),
    ],
)
def test_wrong_parameters_are_refused(given, said) -> None:
    usual = {"backbone": "test_resnet", "num_classes": 2, "input_size": (64, 64)}
    with pytest.raises(ConfigError) as refused:
        DetectionModel(**usual | given)
    assert said in str(refused.value)


@pytest.mark.parametrize("given", [{"strides": []}, {"strides": [8, 64]}, {"loss": {}}, {"backbone": "resnet1"}])
def test_wrong_parameters_of_a_file_are_found_without_a_network(given) -> None:
    assert DetectionModel.parameter_problems({"backbone": "test_resnet"} | given, "model.params")
    assert not DetectionModel.parameter_problems({"backbone": "test_resnet"}, "model.params")


def test_strides_that_older_devices_do_not_read_are_a_warning() -> None:
    (warning,) = DetectionModel.parameter_warnings({"strides": [8, 16]}, "model.params")
    assert warning.path == "model.params.strides"
    assert "depthai before 3.12 assumes the strides 8, 16 and 32" in warning.message
    assert list(DetectionModel.parameter_warnings({"strides": [8, 16, 32]}, "model.params")) == []
    assert list(DetectionModel.parameter_warnings({}, "model.params")) == []
