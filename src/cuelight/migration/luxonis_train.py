"""Configurations of luxonis-train 0.6 as configurations of Cuelight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cuelight import registry
from cuelight.errors import CuelightError
from cuelight.migration.conversion import Conversion, params_of
from cuelight.migration.luxonis_models import convert_model
from cuelight.migration.luxonis_transforms import convert_transforms

# The data of each model by the type of the dataset, and that of others.
_DATA: dict[str, tuple[dict[str, str], str]] = {
    "ClassificationModel": ({"clsdir": "ImageFolder"}, "ImageFolder"),
    "SegmentationModel": ({"voc": "VOCSegmentation", "segmask": "MaskFolder"}, "MaskFolder"),
    "DetectionModel": (
        {"coco": "CocoDetection", "voc": "VOCDetection", "yolov6": "YoloDetection", "yolov8": "YoloDetection"},
        "CocoDetection",
    ),
    "KeypointModel": ({"coco": "CocoKeypoints", "yolov8keypoints": "YoloKeypoints"}, "CocoKeypoints"),
}
_TRAINER = {  # with the defaults of luxonis-train
    "epochs": 100, "batch_size": 32, "accelerator": None, "devices": None, "strategy": None, "seed": None,
    "gradient_clip_val": None, "precision": None,
}  # fmt: skip
_ADDED = ("UploadCheckpoint", "TestOnTrainEnd", "ConvertOnTrainEnd")  # by luxonis-train, if the file lacks them
_POPULATE = "trainer.smart_cfg_auto_populate"
_EFFECTIVE_BATCH = 64  # of its predefined models
_BY_ITSELF = "is always done here."
_REASONS = {
    "model.outputs": "the outputs follow from the model.",
    "model.weights": "weights of a network of luxonis-train fit no other one.",
    "loader.name": "the data says which class reads it.",
    "loader.image_source": "images have one source here.",
    "trainer.skip_last_batch": "the last batch of an epoch is used.",
    "trainer.pin_memory": "it is chosen by the device.",
    "trainer.n_log_images": "pictures come from GradCamCallback and TestOnTrainEnd.",
    "trainer.save_top_k": "the best and the last checkpoint are kept; add a ModelCheckpoint for more.",
    "trainer.gradient_clip_algorithm": "gradients are clipped by their norm.",
    "trainer.training_strategy": "set the optimizer and its groups instead.",
    "trainer.n_sanity_val_steps": "two batches are validated first.",
    "trainer.resume_training": "cuelight train --resume RUN goes on.",
    "tuner": "there is no search for parameters.",
    "archiver": "ArchiveOnTrainEnd writes the archive; exporter.name names it.",
    "exporter": "an archive is not converted for a device here.",
    "rich_logging": _BY_ITSELF,
}


def is_luxonis_train(tree: Mapping[str, Any]) -> bool:
    """Return whether a file is one of luxonis-train, by sections that only it has."""
    model, trainer = tree.get("model"), tree.get("trainer")
    return (
        "loader" in tree
        or (isinstance(model, Mapping) and ("predefined_model" in model or "nodes" in model))
        or (isinstance(trainer, Mapping) and "preprocessing" in trainer)
    )


def convert_luxonis_train(tree: Mapping[str, Any]) -> Conversion:
    """Convert a configuration of luxonis-train; its own defaults are written out.

    Raises:
        ConfigError: If its model is none of those that have a counterpart.
    """
    found = Conversion(tree)
    found.keep("model.name", "name")
    convert_model(found)
    _convert_data(found)
    _convert_trainer(found)
    _convert_tracker(found)
    found.keep("exporter.name", "exporter.name")
    found.keep("exporter.onnx.opset_version", "exporter.opset", 16)
    found.drop(_REASONS)
    found.drop_the_rest()
    return found


def _convert_data(found: Conversion) -> None:
    model = found.config["model"]["name"]
    kind = found.take("loader.params.dataset_type")
    formats, usual = _DATA[model]
    name = formats.get(str(kind), usual)
    found.put("data.name", name)
    if kind is not None:
        is_known = kind in formats
        note = f"data.name: {name}" if is_known else f"{name}, because {kind} is not read here."
        found.say("loader.params.dataset_type", "kept" if is_known else "approximated", note)
    dataset = found.take("loader.params.dataset_name")
    folder = found.take("loader.params.dataset_dir")
    found.put("data.params.path", str(folder or dataset or "data"))
    if folder is not None:
        found.say("loader.params.dataset_dir", "kept", "data.params.path")
    if dataset is not None:
        why = "folders are read as they are, and need no name." if folder else "set data.params.path to a folder."
        found.say("loader.params.dataset_name", "dropped" if folder else "approximated", why)
    found.drop({"loader": "each split has a folder or a file of its own."})
    _convert_preprocessing(found)


def _convert_preprocessing(found: Conversion) -> None:
    section = "trainer.preprocessing"
    found.keep(f"{section}.train_image_size", "data.params.size", [256, 256])
    ratio = f"{section}.keep_aspect_ratio"
    is_set = found.has(ratio)
    found.put("data.params.resize", "letterbox" if found.take(ratio, default=True) else "stretch")
    if is_set:
        found.say(ratio, "kept", "data.params.resize")
    found.keep(f"{section}.color_space", "data.params.color")
    channels = 1 if found.config["data"]["params"].get("color") == "GRAY" else 3
    is_set = found.has(f"{section}.normalize.active")
    if found.take(f"{section}.normalize.active") is False:
        found.put("data.params.mean", [0.0] * channels)
        found.put("data.params.std", [1.0] * channels)
    else:
        found.put("data.params.mean", [0.485, 0.456, 0.406] if channels > 1 else [0.449])
        found.put("data.params.std", [0.229, 0.224, 0.225] if channels > 1 else [0.226])
    if is_set:
        found.say(f"{section}.normalize.active", "kept", "data.params.mean and std")
    found.keep(f"{section}.normalize.params.mean", "data.params.mean")
    found.keep(f"{section}.normalize.params.std", "data.params.std")
    convert_transforms(found, found.take_entries(f"{section}.augmentations"), f"{section}.augmentations")


def _convert_trainer(found: Conversion) -> None:
    for key, default in _TRAINER.items():
        found.keep(f"trainer.{key}", f"trainer.{key}", default)
    found.keep("trainer.n_workers", "trainer.num_workers", 4)
    if found.has("trainer.deterministic"):
        found.put("trainer.deterministic", bool(found.take("trainer.deterministic")))
        found.say("trainer.deterministic", "kept")
    entries, is_set = found.take_entries("trainer.callbacks"), found.has(_POPULATE)
    is_populated = found.take(_POPULATE) is not False
    if is_set:
        found.say(_POPULATE, "kept", "what it adds is written out." if is_populated else "nothing is added.")
    _convert_accumulation(found, entries, is_populated)
    found.keep("trainer.validation_interval", "trainer.validation_interval", 5)
    if found.config["trainer"]["validation_interval"] == -1:  # at the end
        found.put("trainer.validation_interval", found.config["trainer"]["epochs"])
    _convert_part(found, "optimizer", "Adam")
    _convert_part(found, "scheduler", "ConstantLR")
    _convert_callbacks(found, entries, _ADDED if is_populated else ())


def _convert_accumulation(found: Conversion, entries: list[Mapping[str, Any]], is_populated: bool) -> None:
    key, batch = "trainer.accumulate_grad_batches", found.config["trainer"]["batch_size"]
    if any(entry.get("name") == "GradientAccumulationScheduler" for entry in entries):
        found.drop({key: "GradientAccumulationScheduler sets the number of batches."})
        return
    is_computed = is_populated and not found.has(key) and isinstance(batch, int) and batch > 0
    found.keep(key, key, max(1, _EFFECTIVE_BATCH // batch) if is_computed else None)
    if is_computed:
        found.say(f"{key} (default)", "kept", f"{max(1, _EFFECTIVE_BATCH // batch)}, from batch_size.")


def _convert_part(found: Conversion, kind: str, default: str) -> None:
    is_set, known = found.has(f"trainer.{kind}"), registry.registry_of(kind).names()
    given = found.take(f"trainer.{kind}")
    part = {"name": default, **given} if isinstance(given, Mapping) else {"name": default}
    if part["name"] not in known:
        found.say(f"trainer.{kind}", "dropped", f"there is no {part['name']} here; there are {', '.join(known)}.")
        return
    found.put(f"trainer.{kind}", {key: part[key] for key in ("name", "params") if part.get(key)})
    if is_set:
        found.say(f"trainer.{kind}", "kept")


def _convert_callbacks(found: Conversion, entries: list[Mapping[str, Any]], usual: Sequence[str]) -> None:
    names = {entry.get("name") for entry in entries}
    added = [{"name": name} for name in usual if name not in names]
    converted: list[dict[str, Any]] = []
    for index, entry in enumerate([*entries, *added]):
        key = f"trainer.callbacks.{index}" if index < len(entries) else f"trainer.callbacks ({entry['name']})"
        name, params = str(entry.get("name")), params_of(entry)
        if name == "ConvertOnTrainEnd":
            converted += [{"name": "ExportOnTrainEnd"}, {"name": "ArchiveOnTrainEnd"}]
            found.say(key, "approximated", "ExportOnTrainEnd and ArchiveOnTrainEnd; no conversion for a device.")
        elif name == "GradCamCallback":
            model = found.config["model"]["name"].removesuffix("Model").lower()
            tasks = registry.callbacks.entry(name)["parameters"]["task"]["type"]["one_of"]
            task = next(task for task in tasks if task.startswith(model))
            converted.append({"name": name, "params": {**params, "target_layer": "auto", "task": task}})
            found.say(key, "approximated", "target_layer is auto, because the index was that of another network.")
        elif name in registry.callbacks.names():
            converted.append(_known_parameters(found, key, name, params))
            if entry.get("active") is False:
                converted[-1]["active"] = False
        else:
            found.say(key, "dropped", f"there is no callback {name}.")
    by_name = {(one["name"], str(one.get("params"))): one for one in converted}
    found.put("trainer.callbacks", list(by_name.values()))


def _known_parameters(found: Conversion, key: str, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        known = {one.name for one in registry.callbacks.describe(name).parameters}
    except CuelightError:
        known = set(params)
    for unknown in params.keys() - known:
        found.say(f"{key}.params.{unknown}", "dropped", f"{name} has no such parameter here.")
    kept = {parameter: value for parameter, value in params.items() if parameter in known}
    found.say(key, "kept", name)
    return {"name": name, "params": kept} if kept else {"name": name}


def _convert_tracker(found: Conversion) -> None:
    found.keep("tracker.is_tensorboard", "tracker.tensorboard")
    given = {name: found.take(f"tracker.{name}") for name in ("project_name", "run_name", "wandb_entity")}
    used: list[tuple[str, str]] = []
    for key, tracker, names in (
        ("is_mlflow", "mlflow", {"project_name": "experiment", "run_name": "run_name"}),
        ("is_wandb", "wandb", {"project_name": "project", "run_name": "name", "wandb_entity": "entity"}),
    ):
        is_set = found.has(f"tracker.{key}")
        is_used = found.take(f"tracker.{key}")
        if is_set:
            found.say(f"tracker.{key}", "kept", f"tracker.{tracker}")
        if is_used:
            section = {ours: given[theirs] for theirs, ours in names.items() if given[theirs] is not None}
            found.put(f"tracker.{tracker}", section or True)
            used += [(theirs, f"tracker.{tracker}.{ours}") for theirs, ours in names.items()]
    for theirs, value in given.items():
        places = [place for name, place in used if name == theirs]
        if value is not None:
            note = ", ".join(places) or "no tracker that is used needs it."
            found.say(f"tracker.{theirs}", "kept" if places else "dropped", note)
    found.drop(
        {
            "tracker.project_id": "projects have names here.",
            "tracker.run_id": "a resume goes on in the same run.",
            "tracker": "runs are in runs/<name>/<time>; --output names another folder.",
        }
    )
