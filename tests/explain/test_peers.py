"""Heat maps are those of captum and of pytorch-grad-cam, on each kind of network."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from cuelight.explain import find_layer
from support.explained import heat_maps, network, photographs

PEERS = {"gradcam": GradCAM, "hirescam": HiResCAM, "gradcam++": GradCAMPlusPlus, "eigencam": EigenCAM}
SWIN = {"img_size": 96, "window_size": 3, "embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 3, 6)}


def tokens_to_grid(tokens):
    return tokens[:, 1:].unflatten(1, (6, 6)).permute(0, 3, 1, 2)


def channels_first(maps):
    return maps.permute(0, 3, 1, 2)


NETWORKS = [
    pytest.param("resnet18", "layer4", {}, None, id="resnet18"),
    pytest.param("resnet18", "layer2.0.conv1", {}, None, id="resnet18-early"),
    pytest.param("mobilenetv3_small_100", "blocks", {}, None, id="mobilenetv3"),
    pytest.param("efficientnet_b0", "bn2", {}, None, id="efficientnet"),
    pytest.param("convnext_atto", "norm_pre", {}, None, id="convnext"),
    pytest.param("vit_tiny_patch16_224", "blocks.11.norm1", {"img_size": 96}, tokens_to_grid, id="vit"),
    pytest.param("swin_tiny_patch4_window7_224", "norm", SWIN, channels_first, id="swin"),
    pytest.param("resnet50", "layer4", {}, None, id="resnet50", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def images():
    return photographs()


@pytest.fixture(scope="module")
def networks(images):
    made = {}

    def get(name, options):
        if name not in made:
            made[name] = network(name, images, **options)
        return made[name]

    return get


def assert_alike(maps, expected):
    assert expected.max() > expected.min()  # there is something to compare
    assert torch.allclose(maps, expected, rtol=0, atol=1e-4 * float(expected.max()))


def peer_maps(method, model, layer, images, classes, reshape):
    """The maps before pytorch-grad-cam scales each to its own range and resizes it."""
    with PEERS[method](model, [layer], reshape_transform=reshape) as cam:
        targets = [ClassifierOutputTarget(index) for index in classes]
        cam(images, targets)
        recorded = cam.activations_and_grads
        gradients = recorded.gradients[0].numpy() if recorded.gradients else None
        found = cam.get_cam_image(
            images, layer, targets, recorded.activations[0].numpy(), gradients, eigen_smooth=False
        )
        return torch.from_numpy(np.asarray(found, dtype=np.float32))


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "gradcam++"])
@pytest.mark.parametrize(("name", "layer", "options", "reshape"), NETWORKS)
def test_maps_are_those_of_pytorch_grad_cam(networks, images, name, layer, options, reshape, method):
    model, classes = networks(name, options), [1, 3]
    own = heat_maps(model, images, layer, class_idx="label", labels=torch.tensor(classes), method=method)
    expected = peer_maps(method, model, model.get_submodule(layer), images, classes, reshape)
    assert_alike(own.maps, expected.relu())


@pytest.mark.parametrize(("name", "layer", "options", "reshape"), NETWORKS)
def test_principal_components_are_those_of_pytorch_grad_cam(networks, images, name, layer, options, reshape):
    model = networks(name, options)
    own = heat_maps(model, images, layer, method="eigencam")
    expected = peer_maps("eigencam", model, model.get_submodule(layer), images, [0, 0], reshape)
    largest = expected.flatten(1).gather(1, expected.flatten(1).abs().argmax(1, keepdim=True))
    assert_alike(own.maps, (expected * largest.sign()[:, :, None]).relu())


@pytest.mark.parametrize(
    ("name", "layer", "options"), [case.values[:3] for case in NETWORKS if case.values[3] is None and not case.marks]
)
def test_maps_are_those_of_captum(networks, images, name, layer, options):
    model, classes = networks(name, options), [2, 4]
    own = heat_maps(model, images, layer, class_idx="label", labels=torch.tensor(classes))
    captum = LayerGradCam(model, model.get_submodule(layer))
    assert_alike(own.maps, captum.attribute(images, classes, relu_attributions=True)[:, 0].detach())


@pytest.mark.parametrize(("name", "layer", "options", "reshape"), NETWORKS)
def test_auto_is_the_last_layer_with_a_map(networks, images, name, layer, options, reshape):
    if layer != "layer2.0.conv1":
        assert find_layer(networks(name, options), "auto", images) == layer
