"""Heat maps of the last stage cost a forward pass and next to nothing, in time and in memory.

All make Grad-CAM of the same network, in evaluation with random weights, for the same batch and classes, and take
turns in one process. pytorch-grad-cam also resizes its maps to the images. By hand means the network taken apart:
all below the layer without gradient, the rest with it. Memory is the most that is held at any time in one batch on
top of the most that a plain forward pass holds; what it is compared with is the activation of the layer and its
gradient, of the whole batch.

The callback does what it does after a validation batch: it makes heat maps of all 8 images, draws them, writes the file
and sends the picture to TensorBoard.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import lightning.pytorch as pl
import timm
import torch
from captum.attr import LayerGradCam
from lightning.pytorch.loggers import TensorBoardLogger
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from common import Measurements, Target, interleave, parse_options, report
from cuelight.callbacks import GradCamCallback
from cuelight.explain import heat_maps
from cuelight.tasks.classification.explain import ClassificationScores

OWN, HAND, CAPTUM, GRAD_CAM = "Cuelight", "by hand", "captum", "pytorch-grad-cam"
CALLBACK = "GradCamCallback, with pictures"
LAYER_TENSORS = "activation and gradient of the layer"
TARGET_NETWORK = "resnet50"
MIB = 2**20
# The same work as by hand: half a tenth is what the noise of one run may be.
TIME_TARGETS = {HAND: Target(0.95, False), CAPTUM: Target(0.95, False), GRAD_CAM: Target(3, False)}
MEMORY_TARGETS = {OWN: Target(1)}
CALLBACK_TARGETS = {CALLBACK: Target(1.3)}


class Watched(pl.LightningModule):
    """A network as a module that is validated.

    Args:
        network: The network.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Run the network."""
        logits: Tensor = self.network(images)
        return logits

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure nothing."""


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
        scores = ClassificationScores()
        return heat_maps(self.network, self.images, self.layer_name, scores, class_idx="label", labels=labels).maps

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


def measure_callback(comparison: Comparison, rounds: int) -> Measurements:
    """Compare the callback with the heat maps alone.

    Args:
        comparison: Of one network.
        rounds: Repetitions.

    Returns:
        Milliseconds for a batch.
    """
    module = Watched(comparison.network)
    batch = comparison.images, torch.tensor(comparison.classes)
    callback = GradCamCallback(f"network.{comparison.layer_name}", "label")
    alone = comparison.ways()[OWN]
    with tempfile.TemporaryDirectory() as folder:
        logger = TensorBoardLogger(folder)
        trainer = pl.Trainer(
            accelerator="auto" if comparison.images.is_cuda else "cpu",
            callbacks=[callback],
            default_root_dir=folder,
            devices=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=logger,
        )
        trainer.validate(module, DataLoader([batch], batch_size=None), verbose=False)  # the first picture warms up
        draw = partial(callback.on_validation_batch_end, trainer, module, None, batch, 0)
        ways = {OWN: partial(_milliseconds, alone), CALLBACK: partial(_milliseconds, draw)}
        try:
            return interleave(ways, rounds)
        finally:
            logger.finalize("success")  # it writes beside the training


def _milliseconds(action: Callable[[], Any]) -> float:
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
    comparison = Comparison(network, layer, 8, 224, device)
    times, memory = measure(comparison, rounds)
    decides = network == TARGET_NETWORK
    where = f"{layer} of {network} on {device}, batch 8, 224 x 224"
    missed = report(f"Heat maps of {where}, as multiples of {OWN}", "ms", times, OWN, TIME_TARGETS if decides else {})
    targets = MEMORY_TARGETS if decides else {}
    pictures = measure_callback(comparison, rounds)
    missed |= report(f"The callback on {where}", "ms", pictures, OWN, CALLBACK_TARGETS if decides else {})
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
