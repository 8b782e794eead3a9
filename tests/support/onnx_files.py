"""Small networks as ONNX files that tell of themselves, as the exporter makes them."""

import warnings
from functools import cache

import onnx
import torch
from torch import nn

from cuelight.export.model_metadata import ModelMetadata
from cuelight.images.preprocessing import Preprocessing

CLASS_NAMES = ("ant", "bee", "Größe", "dog", "eel")
HEADS = [
    {
        "parser": "ClassificationParser",
        "outputs": ["logits"],
        "metadata": {"classes": list(CLASS_NAMES), "n_classes": len(CLASS_NAMES), "is_softmax": False},
    }
]
SIZE = (32, 48)
PREPROCESSING = {
    "RGB": Preprocessing(size=SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25)),
    "BGR": Preprocessing(size=SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), color="BGR", resize="letterbox"),
    "GRAY": Preprocessing(size=SIZE, mean=(0.3,), std=(0.4,), color="GRAY", resize="crop"),
    "DEEP": Preprocessing(size=SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), value_range=(0, 4095)),
}


class WithPreprocessing(nn.Module):
    """Takes uint8 images in RGB or grey."""

    def __init__(self, network, preprocessing):
        super().__init__()
        self.network = network
        self.is_bgr = preprocessing.color == "BGR"
        self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean).view(-1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(preprocessing.std).view(-1, 1, 1))

    def forward(self, images):
        images = images.float()
        return self.network(((images.flip(1) if self.is_bgr else images) - self.mean) / self.std)


class InHalfPrecision(nn.Module):
    """Computes in float16 between a float32 input and a float32 output."""

    def __init__(self, network):
        super().__init__()
        self.network = network.half()

    def forward(self, images):
        return self.network(images.half()).float()


@cache
@torch.inference_mode(False)  # whoever asks first: the network is exported later
def network(channels=3):
    """A classifier whose outputs differ clearly between images."""
    torch.manual_seed(channels)
    norm = nn.BatchNorm2d(8)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    head = nn.Linear(8 * 16, len(CLASS_NAMES))
    nn.init.normal_(head.weight, std=0.2)
    layers = [nn.Conv2d(channels, 8, 3, padding=1), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), head]
    return nn.Sequential(*layers).eval()


def describe(color="RGB", *, inside=False, **changes):
    """What the exporter would tell of the network."""
    values = {"fingerprint": "f" * 64, "task": "classification", "class_names": CLASS_NAMES} | changes
    return ModelMetadata(preprocessing=PREPROCESSING[color], preprocessing_inside=inside, **values)


def write_onnx(path, module, example, description, *, dynamic=False):
    """Export a module, with its description if there is one."""
    axes = {"images": {0: "batch"}, "logits": {0: "batch"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (example,),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes=axes,
        )
    if description is not None:
        model = onnx.load(path)
        onnx.helper.set_model_props(model, description.to_metadata())
        onnx.save(model, path)
    return path


def make_onnx(folder, color="RGB", *, inside=False, dynamic=False, batch=1, name="model.onnx"):
    """Export the network for images of a color."""
    preprocessing = PREPROCESSING[color]
    module = network(preprocessing.channels)
    example = torch.zeros(batch, preprocessing.channels, *SIZE, dtype=torch.uint8 if inside else torch.float32)
    module = WithPreprocessing(module, preprocessing) if inside else module
    return write_onnx(folder / name, module, example, describe(color, inside=inside), dynamic=dynamic)
