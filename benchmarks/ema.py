"""The moving average costs one pass over the weights, its swap next to nothing, and its memory is one copy of them.

All averages hold the parameters and buffers of the same LightningModule, whose network has random weights, and take
turns in one process. The yardstick of an update is `torch._foreach_lerp_` alone, over lists that are ready. An update
of Cuelight is timed with its search for NaN and infinity, which is the default and which no other has, and without.
A swap is there and back again. Before each, the caches are filled with something else, as a training step does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import accumulate, chain
from typing import Any

import lightning.pytorch as pl
import timm
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from timm.utils.model_ema import ModelEmaV3
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.profiler import ProfilerActivity, profile

from common import Measurements, Target, interleave, parse_options, report
from cuelight.weights.averaging import AveragedWeights

BARE, OWN, NO_SEARCH = "_foreach_lerp_ alone", "Cuelight", "Cuelight, no search for NaN"
TORCH, TIMM = "torch AveragedModel", "timm ModelEmaV3"
LIGHTNING, LUXONIS = "Lightning EMAWeightAveraging", "luxonis-train"
WEIGHTS, STEP = "the weights", "training step"
KEPT, IN_UPDATE, IN_SWAP = "kept", "more in an update", "more in a swap"
NETWORKS = ("resnet50", "vit_base_patch16_224", "mobilenetv3_small_100")
DECAY = 0.999
MIB = 2**20
BARE_TARGETS = {OWN: Target(1.15), NO_SEARCH: Target(1.15)}
UPDATE_TARGETS = {name: Target(10 if name == LIGHTNING else 1, False) for name in (TORCH, TIMM, LIGHTNING, LUXONIS)}
SWAP_TARGETS = {name: Target(50, False) for name in (LIGHTNING, LUXONIS)}
MEMORY_TARGETS = {f"{OWN}, {part}": Target(1.01 if part == KEPT else 0.01) for part in (KEPT, IN_UPDATE, IN_SWAP)}
STEP_TARGETS = {OWN: Target(0.03), NO_SEARCH: Target(0.03)}


class Module(pl.LightningModule):
    """What Lightning's callback needs around a network, by the name of a timm model."""

    def __init__(self, network: str) -> None:
        super().__init__()
        self.network = timm.create_model(network)


@dataclass(frozen=True)
class Average:
    """What is compared: an update, and the swap into the module and out again, if there is one."""

    update: Callable[[], object]
    swap: Callable[[], object] | None = None


def bare_average(module: nn.Module) -> Average:
    tensors = [tensor.detach() for tensor in chain(module.parameters(), module.buffers())]
    live = [tensor for tensor in tensors if tensor.is_floating_point()]
    return Average(partial(torch._foreach_lerp_, [tensor.clone() for tensor in live], live, 1 - DECAY))


def own_average(module: nn.Module, search: bool = True) -> Average:
    average = AveragedWeights(module, skip_nonfinite=search)
    return Average(partial(average.update, DECAY), partial(_in_turn, average.put_in_model, average.take_from_model))


def torch_average(module: nn.Module) -> Average:
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    return Average(partial(average.update_parameters, module))


def timm_average(module: nn.Module) -> Average:
    return Average(partial(ModelEmaV3(module, DECAY).update, module))


def lightning_average(module: nn.Module) -> Average:
    callback: Any = EMAWeightAveraging(decay=DECAY)
    callback.setup(None, module, "fit")
    swap = partial(callback._swap_models, module)  # noqa: SLF001 - all that its hooks around a validation do
    return Average(partial(callback._average_model.update_parameters, module), partial(_in_turn, swap, swap))  # noqa: SLF001


def luxonis_average(module: nn.Module) -> Average:
    from luxonis_train.callbacks.ema import EMACallback

    callback = EMACallback(decay=DECAY)
    callback.on_fit_start(None, module)
    swap_in = partial(callback.on_validation_epoch_start, None, module)
    swap_out = partial(callback.on_validation_end, None, module)
    return Average(partial(callback.ema.update, module), partial(_in_turn, swap_in, swap_out))


def makers() -> dict[str, Callable[[nn.Module], Average]]:
    """Tell what is compared; luxonis-train only where it is installed."""
    without_search = partial(own_average, search=False)
    own: dict[str, Callable[[nn.Module], Average]] = {BARE: bare_average, OWN: own_average, NO_SEARCH: without_search}
    peers = {TORCH: torch_average, TIMM: timm_average, LIGHTNING: lightning_average}
    return {**own, **peers, LUXONIS: luxonis_average} if find_spec("luxonis_train") else {**own, **peers}


def measure(network: str, device: str, rounds: int) -> tuple[Measurements, Measurements, Measurements]:
    """Compare the averages of one network.

    Args:
        network: The name of a timm model.
        device: Where it and the averages are.
        rounds: Repetitions of each update and each swap.

    Returns:
        Milliseconds of an update, milliseconds of a swap, and MiB of memory.
    """
    module = Module(network).to(device)
    averages: dict[str, Average] = {}
    memory: Measurements = {}
    for name, make in makers().items():
        averages[name], kept, _ = with_memory(partial(make, module), device)
        averages[name].update()  # the first of torch and Lightning only copies
        if name == BARE:
            memory[WEIGHTS] = [kept]
        elif name != NO_SEARCH:
            memory[f"{name}, {KEPT}"] = [kept]
            memory[f"{name}, {IN_UPDATE}"] = [with_memory(averages[name].update, device)[2]]
            if swap := averages[name].swap:
                memory[f"{name}, {IN_SWAP}"] = [with_memory(swap, device)[2]]
    updates = {name: average.update for name, average in averages.items()}
    swaps = {name: average.swap for name, average in averages.items() if average.swap and name != NO_SEARCH}
    return time_all(updates, device, rounds), time_all(swaps, device, rounds), memory


def measure_step(network: str, device: str, rounds: int, batch_size: int = 8, side: int = 224) -> Measurements:
    """Time a training step by hand, and the update of an average of its network; returns milliseconds."""
    module = timm.create_model(network).to(device)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    images, labels = torch.randn(batch_size, 3, side, side, device=device), torch.arange(batch_size, device=device)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(module(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    updates = {name: own_average(module, search).update for name, search in ((OWN, True), (NO_SEARCH, False))}
    return time_all({STEP: step, **updates}, device, rounds)


def time_all(actions: Mapping[str, Callable[[], object]], device: str, rounds: int) -> Measurements:
    """Time actions in turns, in milliseconds, after one of each to warm up."""
    other = torch.zeros(128 * MIB, dtype=torch.uint8, device=device)
    timed = {name: partial(_milliseconds, action, other) for name, action in actions.items()}
    for warm_up in timed.values():
        warm_up()
    return interleave(timed, rounds)


def with_memory(action: Callable[[], Any], device: str) -> tuple[Any, float, float]:
    """Tell what an action returns, the MiB that it keeps of a device, and the most that it held at any time."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = action()
        kept, most = torch.cuda.memory_allocated() - before, torch.cuda.max_memory_allocated() - before
        return result, kept / MIB, most / MIB
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = action()
    events: Any = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = list(accumulate((event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())), initial=0))
    return result, held[-1] / MIB, max(held) / MIB


def _milliseconds(action: Callable[[], object], other: torch.Tensor) -> float:
    other.add_(1)
    wait = torch.cuda.synchronize if other.is_cuda else lambda: None
    wait()
    began = time.perf_counter()
    action()
    wait()
    return (time.perf_counter() - began) * 1e3


def _in_turn(*actions: Callable[[], object]) -> None:
    for action in actions:
        action()


def compare(network: str, device: str, rounds: int) -> int:
    """Measure one network and print its tables; returns 1 if a target is missed, 0 otherwise."""
    updates, swaps, memory = measure(network, device, rounds)
    where = f"{network} on {device}"
    missed = report(f"Update of {where}", "ms", updates, BARE, BARE_TARGETS)
    for own, hidden in ((OWN, NO_SEARCH), (NO_SEARCH, OWN)):
        shown = {name: values for name, values in updates.items() if name not in (BARE, hidden)}
        missed |= report(f"Update of {where}, as multiples of {own}", "ms", shown, own, UPDATE_TARGETS)
    missed |= report(f"Swap of {where}, there and back", "ms", swaps, OWN, SWAP_TARGETS)
    return missed | report(f"Memory of {where}", "MiB", memory, WEIGHTS, MEMORY_TARGETS)


def main() -> int:
    options = parse_options("Cost of the moving average.", rounds=30, step_rounds=10)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler reports its starts and stops
    print(f"{torch.get_num_threads()} threads. torch and timm have no swap of their own.")
    if LUXONIS not in makers():
        print("luxonis-train is not installed, so it is left out.")
    missed = 0
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for network in NETWORKS:
            missed |= compare(network, device, options.rounds)
        values = measure_step("resnet50", device, options.step_rounds)
        title = f"Update beside a training step of resnet50 on {device}, batch 8, 224 x 224"
        missed |= report(title, "ms", values, STEP, STEP_TARGETS)
    return missed


if __name__ == "__main__":
    sys.exit(main())
