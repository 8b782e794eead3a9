import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cuelight.errors import LayerError
from cuelight.explain import find_layer, list_layers
from cuelight.tasks.classification.model import ClassificationModel
from support.explained import heat_maps, network, photographs


@pytest.fixture(scope="module")
def model():
    return ClassificationModel("test_resnet", num_classes=4, input_size=(64, 64))


def names_without_metrics(model):
    measured = ("train_", "val_", "test_", "confusion_matrix")
    return [name for name, _ in model.named_modules() if not name.startswith(measured)]


def test_indices_are_those_of_named_modules_without_metrics(model):
    names = names_without_metrics(model)
    assert find_layer(model, 0, None) == ""
    for index in (1, 7, len(names) - 1, -1, -5, -len(names)):
        assert find_layer(model, index, None) == names[index]


def test_the_last_index_is_a_layer_of_the_network(model):
    assert find_layer(model, 1, None) == "backbone"
    assert find_layer(model, -1, None).startswith("backbone.")


def test_a_wrong_index_tells_the_range(model):
    count = len(names_without_metrics(model))
    for index in (count, -count - 1, 500):
        with pytest.raises(
            LayerError, match=rf"has no layer {index}\. .* from -{count} to {count - 1}, a name, or auto"
        ):
            find_layer(model, index, None)


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("backbone.layer3", 'Did you mean "backbone.layer3'),
        ("layer4", 'Did you mean "backbone.layer4"?'),
        ("backbone.layr4", 'Did you mean "backbone.layer4" or "backbone.layer'),
        ("Auto", 'Did you mean "auto"'),
        ("qqqqqqqqqqqq", "Expected a name, an index from"),
    ],
)
def test_a_wrong_name_tells_the_nearest(model, target, near):
    if target == "backbone.layer3":
        assert find_layer(model, target, None) == target
        return
    with pytest.raises(LayerError) as caught:
        find_layer(model, target, None)
    assert near in str(caught.value)


def test_a_module_with_two_names_goes_by_both():
    shared = nn.Conv2d(3, 4, 3)
    assert find_layer(nn.ModuleDict({"a": shared, "b": shared}), "b", None) == "b"


def test_auto_is_the_last_layer_with_a_map(model):
    assert find_layer(model, "auto", torch.zeros(2, 3, 64, 64)) == "backbone.layer4"


def test_auto_needs_an_example_and_a_map(model):
    with pytest.raises(LayerError, match="auto needs an example input"):
        find_layer(model, "auto", None)
    with pytest.raises(LayerError, match="no layer of Sequential outputs a spatial map"):
        find_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), "auto", torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize(
    ("options", "layer"),
    [({}, "blocks.1.norm1"), ({"global_pool": "avg"}, "norm"), ({"class_token": False, "global_pool": "avg"}, "norm")],
    ids=["class token", "mean of all", "no class token"],
)
def test_auto_is_a_layer_whose_patches_count(options, layer):
    images = photographs(1, (64, 64))
    vit = network("vit_tiny_patch16_224", images, img_size=64, depth=2, **options)
    nn.init.zeros_(vit.head.weight)  # as of a classifier that was not trained yet
    assert find_layer(vit, "auto", images) == layer
    nn.init.normal_(vit.head.weight)
    assert heat_maps(vit, images, layer, method="hirescam").maps.any()


def test_auto_is_no_layer_whose_output_only_looks_like_maps():
    class Heads(nn.Module):
        def forward(self, maps):
            return maps.flatten(2).unflatten(2, (4, -1))

    model = nn.Sequential(nn.Conv2d(3, 12, 3), Heads(), nn.Flatten(), nn.Linear(12 * 36, 2))
    assert find_layer(model, "auto", torch.zeros(1, 3, 8, 8)) == "0"
    assert find_layer(nn.Sequential(nn.Conv2d(3, 4, (3, 5)), nn.Flatten()), "auto", torch.zeros(1, 3, 3, 40)) == "0"


def test_auto_also_finds_a_layer_that_runs_without_gradients():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Linear(4, 2)

        def forward(self, images):
            with torch.no_grad():
                features = self.features(images)
            return self.head(features.mean((2, 3)))

    assert find_layer(Frozen(), "auto", torch.zeros(1, 3, 8, 8)) == "features"


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [("Unet", "encoder.layer4"), ("FPN", "encoder.layer4"), ("DeepLabV3Plus", "encoder.layer4")],
)
def test_auto_of_a_segmentation_is_the_last_stage_of_its_encoder(architecture, layer):
    smp = pytest.importorskip("segmentation_models_pytorch")
    model = smp.create_model(architecture, "resnet18", encoder_weights=None, classes=3)
    assert find_layer(model, "auto", torch.zeros(1, 3, 64, 64)) == layer


def test_auto_of_any_other_model_with_maps_has_the_fewest_positions():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(4, 2, 1))
    assert find_layer(model, "auto", torch.zeros(1, 3, 16, 16)) == "1"


class Bytes(nn.Module):
    """Takes images of 0 to 255, and normalizes them itself."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images.float() / 255)


def test_images_may_be_bytes():
    images = photographs(1, (64, 64))
    vit = Bytes(network("vit_tiny_patch16_224", images, img_size=64, depth=2))
    images = ((images * 0.25 + 0.45) * 255).byte()
    assert find_layer(vit, "auto", images) == "network.blocks.1.norm1"  # it is known what the output depends on
    assert list_layers(vit, images)[0].shape == (1, 5)
    assert heat_maps(vit, images, "auto", class_idx=3).maps.any()


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_auto_in_a_model_whose_parts_are_run_again_in_the_backward_pass():
    class Recomputed(nn.Module):
        def __init__(self, reentrant):
            super().__init__()
            self.features, self.head, self.reentrant = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), reentrant

        def forward(self, images):
            return self.head(checkpoint(self.features, images, use_reentrant=self.reentrant).mean((2, 3)))

    example = torch.zeros(1, 3, 8, 8)
    assert find_layer(Recomputed(False), "auto", example) == "features"
    assert find_layer(Recomputed(True), "auto", example) == "features"
    with pytest.raises(LayerError, match="without gradient"):
        heat_maps(Recomputed(True), example, "features")


def test_lists_every_module_with_what_it_puts_out(model):
    layers = list_layers(model, torch.zeros(5, 3, 64, 64))
    assert [layer.name for layer in layers] == names_without_metrics(model)
    assert [layer.index for layer in layers] == list(range(len(layers)))
    by_name = {layer.name: layer for layer in layers}
    assert by_name[""].shape == (1, 4)
    assert by_name["backbone.layer4"].type == "Sequential"
    assert by_name["backbone.layer4"].shape == (
        1,
        *model.backbone.forward_features(torch.zeros(1, 3, 64, 64)).shape[1:],
    )
    assert [layer.name for layer in layers if layer.is_auto] == ["backbone.layer4"]


def test_lists_without_an_example(model):
    layers = list_layers(model, None)
    assert [layer.name for layer in layers] == names_without_metrics(model)
    assert not any(layer.shape or layer.is_auto for layer in layers)
