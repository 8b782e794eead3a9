"""Networks and photographs for heat maps."""

import timm
import torch
from skimage import data
from torch import nn
from torch.nn import functional

from cuelight import explain
from cuelight.tasks.classification.explain import ClassificationScores


def photographs(count=2, size=(96, 96)):
    """A batch of crops of real photographs, normalised."""
    images = [data.chelsea(), data.coffee(), data.astronaut(), data.rocket()][:count]
    tensors = [torch.from_numpy(image.copy()).permute(2, 0, 1).float()[None] for image in images]
    resized = [functional.interpolate(image, size, mode="bilinear", antialias=True) for image in tensors]
    return (torch.cat(resized) / 255 - 0.45) / 0.25


def network(name, images, **options):
    """A timm network of five classes in evaluation, with weights and statistics as after some training.

    The last BatchNorm of a residual block begins with zeros, and a new one counts no images: then maps are all alike.
    """
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **options)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.momentum = None
    with torch.no_grad():
        model.train()(images)
    return model.eval()


def heat_maps(model, images, layer, scores=None, **options):
    """Heat maps of a classifier, unless other scores are given."""
    return explain.heat_maps(model, images, layer, scores or ClassificationScores(), **options)
