"""Heat maps of the last stage cost a forward pass and next to nothing, in time and in memory.

All make Grad-CAM of the same network, in evaluation with random weights, for the same batch and classes, and take
turns in one process. pytorch-grad-cam also resizes its maps to the images. By hand means the network taken apart:
all below the layer without gradient, the rest with it. Memory is the most that is held at any time in one batch on
top of the most that a plain forward pass holds; what it is compared with is the activation of the layer and its
gradient, of the whole batch.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import timm
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from common import Measurements, Target, interleave, parse_options, report
from cuelight.explain import heat_maps

OWN, HAND, CAPTUM, GRAD_CAM = "Cuelight", "by hand", "captum", "pytorch-grad-cam"
LAYER_TENSORS = "activation and gradient of the layer"
TARGET_NETWORK = "resnet50"
MIB = 2**20
# The same work as by hand: half a tenth is what the noise of one run may be.
TIME_TARGETS = {HAND: Target(0.95, False), CAPTUM: Target(0.95, False), GRAD_CAM: Target(3, False)}
MEMORY_TARGETS = {OWN: Target(1)}


class Comparison:
    """A network with a batch, and all ways to its heat maps.

    Args:
        network: The name of a timm model.
        layer: The name of its last stage.
        batch_size: Images per batch.
        side: Their height and width in pixels.
        device: Where it is run.
    """

    def __init__(self, network: str, layer: str, batch_size: int, side: int, device: str) -> None:
        self.network = timm.create_model(network).eval().to(device)
        self.layer_name, self.layer = layer, self.network.get_submodule(layer)
        self.images = torch.randn(batch_size, 3, side, side, device=device)
        self.classes = list(range(batch_size))

    def ways(self) -> dict[str, Callable[[], Tensor]]:
        """List them: each gives maps ``(N, h, w)``."""
        captum, peer = LayerGradCam(self.network, self.layer), GradCAM(self.network, [self.layer])
        targets = [ClassifierOutputTarget(index) for index in self.classes]
        return {
            OWN: self._own,
            HAND: self._by_hand,
            CAPTUM: lambda: captum.attribute(self.images, self.classes, relu_attributions=True)[:, 0],
            GRAD_CAM: lambda: torch.from_numpy(peer(self.images, targets)),
        }

    @torch.no_grad()
    def plain_forward(self) -> Tensor:
        """Run the network alone."""
        logits: Tensor = self.network(self.images)
        return logits

    def layer_tensors(self) -> float:
        """Tell the MiB of the activation of the layer and its gradient."""
        sizes: list[int] = []
        handle = self.layer.register_forward_hook(lambda *passed: sizes.append(passed[-1].nbytes))
        self.plain_forward()
        handle.remove()
        return 2 * sizes[0] / MIB

    def _own(self) -> Tensor:
        labels = torch.tensor(self.classes)
        return heat_maps(self.network, self.images, self.layer_name, class_idx="label", labels=labels).maps

    def _by_hand(self) -> Tensor:
        network: Any = self.network
        with torch.no_grad():
            activation = network.forward_features(self.images)
        activation.requires_grad_()
        logits = network.forward_head(activation)
        score = logits[range(len(self.classes)), self.classes].sum()
        (gradient,) = torch.autograd.grad(score, activation)
        return (gradient.mean((2, 3), keepdim=True) * activation.detach()).sum(1).relu().cpu()


def measure(comparison: Comparison, rounds: int) -> tuple[Measurements, Measurements]:
    """Compare the ways.

    Args:
        comparison: Of one network.
        rounds: Repetitions.

    Returns:
        Milliseconds for a batch, and MiB on top of a plain forward pass.
    """
    ways = comparison.ways()
    for way in ways.values():
        way()
    times = interleave({name: partial(_milliseconds, way) for name, way in ways.items()}, rounds)
    plain = _most_held(comparison.plain_forward, comparison.images.is_cuda)
    memory: Measurements = {LAYER_TENSORS: [comparison.layer_tensors()]}
    for name, way in ways.items():
        comparison.network.zero_grad()  # what pytorch-grad-cam leaves is its own
        memory[name] = [_most_held(way, comparison.images.is_cuda) - plain]
    return times, memory


def _milliseconds(action: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    action()  # gives its maps on the CPU, so that there is nothing to wait for
    return (time.perf_counter() - began) * 1e3


def _most_held(action: Callable[[], Tensor], cuda: bool) -> float:
    """Tell the most MiB that an action held at any time on top of what was there before."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    events: Any = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = accumulate((event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())), initial=0)
    return max(held) / MIB


def compare(network: str, layer: str, device: str, rounds: int) -> int:
    """Measure one network and print its tables; returns 1 if a target is missed, 0 otherwise."""
    times, memory = measure(Comparison(network, layer, 8, 224, device), rounds)
    decides = network == TARGET_NETWORK
    where = f"{layer} of {network} on {device}, batch 8, 224 x 224"
    missed = report(f"Heat maps of {where}, as multiples of {OWN}", "ms", times, OWN, TIME_TARGETS if decides else {})
    targets = MEMORY_TARGETS if decides else {}
    return missed | report(f"Memory on top of a forward pass, {where}", "MiB", memory, LAYER_TENSORS, targets)


def main() -> int:
    options = parse_options("Cost of heat maps.", rounds=10)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler reports its starts and stops
    print(f"{torch.get_num_threads()} threads.")
    missed = 0
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for network, layer in ((TARGET_NETWORK, "layer4"), ("mobilenetv3_small_100", "blocks")):
            missed |= compare(network, layer, device, options.rounds)
    return missed


if __name__ == "__main__":
    sys.exit(main())
