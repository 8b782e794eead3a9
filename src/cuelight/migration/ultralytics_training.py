"""Training arguments of Ultralytics, by the names of its public documentation."""

from __future__ import annotations

import math
from typing import Any

from cuelight.migration.conversion import Conversion, Verdict

_MODES = {"randaugment": "RandAugment", "autoaugment": "AutoAugment", "augmix": "AugMix"}
_OPTIMIZERS = {
    name.lower(): name for name in ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop")
}  # their capitals differ
_AUTO: dict[str, Any] = {"name": "AdamW", "params": {"lr": 0.001, "weight_decay": 0.0005}}
_ONLY_CLASSIFICATION = "only classification has it here."


def convert_transforms(found: Conversion, task: str) -> None:
    """Put transforms that stand for augmentations into ``data.params``."""
    is_boxes = task != "classify"
    if is_boxes:
        for key, default in (("mosaic", 1.0), ("mixup", None), ("close_mosaic", 10)):
            found.keep(key, f"data.params.{key}", default)
    transforms = [
        {"name": name, "params": {"p": chance}}
        for key, name, default in (("fliplr", "RandomHorizontalFlip", 0.5), ("flipud", "RandomVerticalFlip", 0.0))
        if (chance := take_number(found, key, default, name, most=1.0))
    ]
    degrees = take_number(found, "degrees", 0.0, "RandomAffine")
    moved = take_number(found, "translate", 0.1 * is_boxes, "RandomAffine", most=1.0)
    zoom = take_number(found, "scale", 0.5 * is_boxes, "RandomAffine", most=0.9)
    shear = take_number(found, "shear", 0.0, "RandomAffine")
    affine = {"degrees": degrees, "translate": [moved] * 2, "scale": [1 - zoom, 1 + zoom], "shear": shear}
    if degrees or moved or zoom or shear:
        transforms.append({"name": "RandomAffine", "params": affine})
    note = "ColorJitter, which changes every image"
    jitter = {
        name: value
        for key, name, default, most in (
            ("hsv_h", "hue", 0.015, 0.5), ("hsv_s", "saturation", 0.7, 1.0), ("hsv_v", "brightness", 0.4, 1.0),
        )
        if (value := take_number(found, key, default, note, "approximated", most))
    }  # fmt: skip
    if jitter:
        transforms.append({"name": "ColorJitter", "params": jitter})
    if not is_boxes:
        transforms += _of_classification(found)
    if transforms:
        found.put("data.params.transforms", transforms)
    found.drop(
        {
            "mosaic": "there is none for classification.",
            "close_mosaic": "there is no mosaic for classification.",
            "cutmix": "images are not cut into one another.",
            "copy_paste": "objects have no masks to be cut out.",
            "copy_paste_mode": "objects have no masks to be cut out.",
            "perspective": "RandomPerspective of torchvision has another scale.",
            "crop_fraction": "data.params.resize: crop cuts the middle out.",
            "bgr": "data.params.color sets the order of the channels.",
            **dict.fromkeys(("erasing", "auto_augment", "dropout", "label_smoothing"), _ONLY_CLASSIFICATION),
        }
    )


def convert_training(found: Conversion, metric: str) -> None:
    """Put the settings of the training into ``trainer``; ``metric`` is that of the best model."""
    _convert_name(found)
    found.keep("epochs", "trainer.epochs", 100)
    _convert_batch(found)
    found.keep("seed", "trainer.seed", 0)
    found.keep("workers", "trainer.num_workers")
    for key, path, convert in (
        ("deterministic", "deterministic", bool),
        ("compile", "compile", bool),
        ("time", "max_time", lambda hours: {"hours": hours}),
        ("amp", "precision", lambda is_on: "16-mixed" if is_on else "32-true"),
    ):
        if found.has(key):
            found.put(f"trainer.{path}", convert(found.take(key)))
            found.say(key, "kept", f"trainer.{path}")
    _convert_device(found)
    _convert_optimizer(found)
    _convert_schedule(found)
    callbacks: list[dict[str, Any]] = [{"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}]
    is_set, patience = found.has("patience"), found.take("patience", 100)
    if patience:
        stopping = {"monitor": metric, "mode": "max", "patience": patience}
        callbacks.insert(0, {"name": "EarlyStopping", "params": stopping})
    if is_set:
        found.say("patience", "kept", f"EarlyStopping by {metric}" if patience else "the training does not end early.")
    found.put("trainer.callbacks", callbacks)


def _convert_name(found: Conversion) -> None:
    name = found.take("name")
    if isinstance(name, str) and name.replace("-", "").replace("_", "").isalnum():
        found.put("name", name)
        found.say("name", "kept")
    elif name is not None:
        found.say("name", "dropped", "it is no name of a folder; the name of the file is used.")


def _convert_batch(found: Conversion) -> None:
    batch = found.take("batch")
    is_number = type(batch) is int and batch > 0
    found.put("trainer.batch_size", batch if is_number else 16)
    if batch is not None:
        note = "trainer.batch_size" if is_number else "the batch size is not chosen by the memory; it is 16."
        found.say("batch", "kept" if is_number else "approximated", note)


def _convert_device(found: Conversion) -> None:
    if not found.has("device"):
        return
    device = found.take("device")
    listed = device if isinstance(device, list) else str(device).removeprefix("cuda:").split(",")
    numbers = [int(one) for one in map(str, listed) if one.strip().isdecimal()]
    accelerator = "gpu" if numbers else device if device in ("cpu", "mps") else None
    if numbers:
        found.put("trainer.devices", numbers)
    if accelerator:
        found.put("trainer.accelerator", accelerator)
        found.say("device", "kept", "trainer.accelerator and devices")
    else:
        found.say("device", "dropped", "the device is chosen by what there is.")


def _convert_optimizer(found: Conversion) -> None:
    name = found.take("optimizer")
    known = _OPTIMIZERS.get(str(name).lower())
    if known is None:
        found.put("trainer.optimizer", {"name": _AUTO["name"], "params": dict(_AUTO["params"])})
        if name is not None:
            found.say("optimizer", "approximated", "AdamW with a learning rate of 0.001.")
        reason = "optimizer is chosen automatically, and sets it; name an optimizer to use it."
        found.drop(dict.fromkeys(("lr0", "momentum"), reason))
        found.keep("weight_decay", "trainer.optimizer.params.weight_decay")
        return
    found.put("trainer.optimizer.name", known)
    found.say("optimizer", "kept", "trainer.optimizer.name")
    found.keep("lr0", "trainer.optimizer.params.lr", 0.01)
    found.keep("weight_decay", "trainer.optimizer.params.weight_decay", 0.0005)
    if known in ("SGD", "RMSprop"):
        found.keep("momentum", "trainer.optimizer.params.momentum", 0.937)
        return
    found.put("trainer.optimizer.params.betas", [take_number(found, "momentum", 0.9, "the first of betas"), 0.999])


def _convert_schedule(found: Conversion) -> None:
    """Convert the decay to a share of the learning rate, along a line or a cosine, after a warm-up."""
    share = take_number(found, "lrf", 0.01, "trainer.scheduler", most=1.0)
    is_cosine = found.take("cos_lr")
    if is_cosine is not None:
        found.say("cos_lr", "kept", "trainer.scheduler")
    rate, epochs = found.config["trainer"]["optimizer"]["params"]["lr"], found.config["trainer"]["epochs"]
    linear: dict[str, Any] = {"name": "LinearLR", "params": {"start_factor": 1.0, "end_factor": share}}
    cosine: dict[str, Any] = {
        "name": "CosineAnnealingLR",
        "params": {"eta_min": rate * share if _is_number(rate) else 0.0},
    }
    found.put("trainer.scheduler", cosine if is_cosine else linear)
    given = found.take("warmup_epochs")
    most = epochs - 1 if isinstance(epochs, int) else 0
    warmup = max(0, min(round(given) if _is_number(given) else 3, most))
    if warmup:
        found.put("trainer.scheduler.warmup", warmup)
    if given is not None:
        same = warmup == given
        note = "trainer.scheduler.warmup" if same else f"{warmup}, whole epochs, fewer than those of the training."
        found.say("warmup_epochs", "kept" if same else "approximated", note)
    reason = "the warm-up raises the learning rate alone, that of all parameters."
    found.drop(dict.fromkeys(("warmup_momentum", "warmup_bias_lr"), reason))


def _of_classification(found: Conversion) -> list[dict[str, Any]]:
    transforms: list[dict[str, Any]] = []
    found.keep("dropout", "model.params.drop_rate")
    found.keep("label_smoothing", "model.params.label_smoothing")
    mode = found.take("auto_augment")
    if mode is not None:
        name = _MODES.get(str(mode).lower())
        found.say("auto_augment", "kept" if name else "dropped", name or f"there is no {mode} here.")
        transforms += [{"name": name}] if name else []
    if chance := take_number(found, "erasing", 0.0, "RandomErasing", most=1.0):
        transforms.append({"name": "RandomErasing", "params": {"p": chance}})
    for method in ("mixup", "cutmix"):
        if chance := take_number(found, method, 0.0, f"data.params.{method}_alpha and mix_prob", "approximated", 1.0):
            params = found.config["data"]["params"]
            params |= {f"{method}_alpha": 1.0, "mix_prob": min(1.0, params.get("mix_prob", 0.0) + chance)}
    return transforms


def take_number(
    found: Conversion, key: str, default: float, note: str, verdict: Verdict = "kept", most: float = math.inf
) -> float:
    """Take a number that is at least 0, limit it to ``most``, and note what it becomes."""
    value = found.take(key)
    if value is None:
        return default
    if _is_number(value):
        is_less = value <= most
        found.say(key, verdict if is_less else "approximated", note if is_less else f"{note}; {most:g}, the most here.")
        return min(float(value), most)
    found.say(key, "approximated", f"expected a number of at least 0, got {value}; {default:g} is used.")
    return default


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < math.inf
