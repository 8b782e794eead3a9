"""Configurations of luxonis-train 0.6 as configurations of Cuelight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cuelight import registry
from cuelight.errors import CuelightError
from cuelight.migration.conversion import Conversion, params_of
from cuelight.migration.luxonis_data import convert_data
from cuelight.migration.luxonis_models import convert_loss, convert_model

_TRAINER = {  # with the defaults of luxonis-train
    "epochs": 100, "batch_size": 32, "accelerator": None, "devices": None, "strategy": None, "seed": None,
    "gradient_clip_val": None, "precision": None,
}  # fmt: skip
_ADDED = ("UploadCheckpoint", "TestOnTrainEnd", "ConvertOnTrainEnd")  # by luxonis-train, if the file lacks them
_POPULATE = "trainer.smart_cfg_auto_populate"
_EFFECTIVE_BATCH = 64  # of its predefined models
# TripleLRSGDStrategy: the parameters of its optimizer, and those of its schedule.
_SGD = {"lr": 0.02, "momentum": 0.937, "weight_decay": 0.0005, "nesterov": True}
_DECAY = {"lre": 0.0002, "cosine_annealing": True, "warmup_epochs": 3}
_BY_ITSELF = "is always done here."
_REASONS = {
    "model.predefined_model": "the network is another one, so its parameters do not apply.",
    "model.outputs": "the outputs follow from the model.",
    "model.weights": "weights of a network of luxonis-train fit no other one.",
    "loader.name": "the data says which class reads it.",
    "loader.image_source": "images have one source here.",
    "loader.params": "the class that reads the data has parameters of its own.",
    "loader": "each split has a folder or a file of its own.",
    "trainer.skip_last_batch": "the last batch of an epoch is used.",
    "trainer.pin_memory": "it is chosen by the device.",
    "trainer.n_log_images": "pictures come from GradCamCallback and TestOnTrainEnd.",
    "trainer.save_top_k": "the best and the last checkpoint are kept; add a ModelCheckpoint for more.",
    "trainer.gradient_clip_algorithm": "gradients are clipped by their norm.",
    "trainer.n_sanity_val_steps": "two batches are validated first.",
    "trainer.resume_training": "cuelight train --resume RUN goes on.",
    "tuner": "there is no search for parameters.",
    "archiver": "ArchiveOnTrainEnd writes the archive; exporter.name names it.",
    "exporter.onnx": "the export has options of its own.",
    **dict.fromkeys(
        ("exporter.input_shape", "exporter.reverse_input_channels", "exporter.mean_values", "exporter.scale_values"),
        "it follows from the parameters of the data.",
    ),
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
    convert_data(found)
    convert_loss(found, _convert_trainer(found))
    _convert_tracker(found)
    _convert_exporter(found)
    found.drop(_REASONS)
    found.drop_the_rest()
    return found


def _convert_trainer(found: Conversion) -> int | None:
    """Convert the trainer; return by what luxonis-train multiplies weights of losses, ``None`` if it keeps them."""
    for key, default in _TRAINER.items():
        found.keep(f"trainer.{key}", f"trainer.{key}", default)
    found.keep("trainer.n_workers", "trainer.num_workers", 4)
    _convert_deterministic(found)
    entries, is_set = found.take_entries("trainer.callbacks"), found.has(_POPULATE)
    is_populated = found.take(_POPULATE) is not False
    if is_set:
        found.say(_POPULATE, "kept", "what it adds is written out." if is_populated else "nothing is added.")
    factor = _convert_accumulation(found, entries, is_populated)
    found.keep("trainer.validation_interval", "trainer.validation_interval", 5)
    interval, epochs = found.config["trainer"]["validation_interval"], found.config["trainer"]["epochs"]
    if isinstance(interval, int) and isinstance(epochs, int) and not 0 < interval <= epochs:  # -1: at the end
        found.put("trainer.validation_interval", epochs)
    _convert_optimization(found)
    _convert_callbacks(found, entries, factor)
    return factor


def _convert_deterministic(found: Conversion) -> None:
    key = "trainer.deterministic"
    is_set, given = found.has(key), found.take(key)
    value = "seed" in found.config["trainer"] if given is None else given is True
    if is_set or value:
        found.put(key, value)
    if is_set:
        note = "false: true would stop at an operation that has no deterministic algorithm." if given == "warn" else ""
        found.say(key, "approximated" if note else "kept", note)


def _convert_accumulation(found: Conversion, entries: list[Mapping[str, Any]], is_populated: bool) -> int | None:
    """Convert the number of batches of a step; return it if luxonis-train multiplies weights of losses by it."""
    key, batch = "trainer.accumulate_grad_batches", found.config["trainer"]["batch_size"]
    is_set, batches = found.has(key), found.take(key)
    note = ""
    if batches is None and is_populated:
        batches = max(1, _EFFECTIVE_BATCH // batch) if isinstance(batch, int) and batch > 0 else 1
        note = f"{batches}, from batch_size."
    used = [entry.get("name") for entry in entries if entry.get("active") is not False]
    if "GradientAccumulationScheduler" in used:
        if is_set:
            found.say(key, "dropped", "GradientAccumulationScheduler sets the number of batches.")
    elif batches is not None:
        found.put(key, batches)
        found.say(key if is_set else f"{key} (default)", "kept", note)
    if not is_populated:
        return None
    return batches if isinstance(batches, int) else 1


def _convert_optimization(found: Conversion) -> None:
    key = "trainer.training_strategy"
    is_set, strategy = found.has(key), found.take(key)
    if isinstance(strategy, Mapping) and strategy.get("name") == "TripleLRSGDStrategy":
        _convert_strategy(found, params_of(strategy))
        found.say(key, "approximated", "trainer.optimizer and scheduler; the warm-up is the same for all parameters.")
        found.drop(dict.fromkeys(("trainer.optimizer", "trainer.scheduler"), "trainer.training_strategy replaces it."))
        return
    if is_set:
        found.say(key, "dropped", "set the optimizer and its groups instead.")
    _convert_part(found, "optimizer", "Adam")
    _convert_part(found, "scheduler", "ConstantLR")


def _convert_strategy(found: Conversion, given: Mapping[str, Any]) -> None:
    params = {name: given.get(name, default) for name, default in _SGD.items()}
    found.put("trainer.optimizer", {"name": "SGD", "params": params, "decay_norms": False})
    last, is_cosine, warmup = (given.get(name, default) for name, default in _DECAY.items())
    are_rates = all(isinstance(rate, (int, float)) and rate > 0 for rate in (last, params["lr"]))
    share = min(1.0, last / params["lr"]) if are_rates else 0.0
    line = {"name": "LinearLR", "params": {"start_factor": 1.0, "end_factor": share}}
    found.put("trainer.scheduler", {"name": "CosineAnnealingLR", "params": {"eta_min": last}} if is_cosine else line)
    epochs = found.config["trainer"]["epochs"]
    if isinstance(warmup, int) and isinstance(epochs, int) and min(warmup, epochs - 1) > 0:
        found.put("trainer.scheduler.warmup", min(warmup, epochs - 1))


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


def _convert_callbacks(found: Conversion, entries: list[Mapping[str, Any]], factor: int | None) -> None:
    names = {str(entry.get("name")) for entry in entries}
    added = [{"name": name} for name in _ADDED if factor is not None and name not in names]
    by_name: dict[tuple[str, str], dict[str, Any]] = {}
    for index, entry in enumerate([*entries, *added]):
        key = f"trainer.callbacks.{index}" if index < len(entries) else f"trainer.callbacks ({entry['name']})"
        for one in _convert_callback(found, key, entry, factor):
            place = one["name"], str(one.get("params"))
            if entry.get("active") is not False:
                by_name[place] = one
            else:
                by_name.setdefault(place, one | {"active": False})
    found.put("trainer.callbacks", list(by_name.values()))


def _convert_callback(
    found: Conversion, key: str, entry: Mapping[str, Any], factor: int | None
) -> list[dict[str, Any]]:
    """Return the callbacks that stand for one of luxonis-train, and note what became of it."""
    name, params, model = str(entry.get("name")), params_of(entry), found.config["model"]["name"]
    if name == "ConvertOnTrainEnd":
        found.say(key, "approximated", "ExportOnTrainEnd and ArchiveOnTrainEnd; no conversion for a device.")
        return [{"name": "ExportOnTrainEnd"}, {"name": "ArchiveOnTrainEnd"}]
    if name == "GradCamCallback":
        tasks = registry.callbacks.entry(name)["parameters"]["task"]["type"]["one_of"]
        task = next(task for task in tasks if task.startswith(model.removesuffix("Model").lower()))
        found.say(key, "approximated", "target_layer is auto, because the index was that of another network.")
        return [{"name": name, "params": {**params, "target_layer": "auto", "task": task}}]
    if name == "GradientAccumulationScheduler" and model == "KeypointModel" and factor is not None:
        scheduling = {0: 1, 1: (1 + factor) // 2, 2: factor}
        is_same = params.get("scheduling") == scheduling
        found.say(key, "kept" if is_same else "approximated", f"luxonis-train sets its scheduling to {scheduling}.")
        return [{"name": name, "params": {"scheduling": scheduling}}]
    if name in registry.callbacks.names():
        return [_known_parameters(found, key, name, params)]
    found.say(key, "dropped", f"there is no callback {name}.")
    return []


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


def _convert_exporter(found: Conversion) -> None:
    found.keep("exporter.name", "exporter.name")
    found.keep("exporter.onnx.opset_version", "exporter.opset", 16)
    key = "exporter.onnx.disable_onnx_simplification"
    if found.has(key):
        found.put("exporter.simplify", not found.take(key))
        found.say(key, "kept", "exporter.simplify")
    key = "exporter.onnx.dynamic_axes"
    if found.has(key):
        found.put("exporter.dynamic_batch", bool(found.take(key)))
        found.say(key, "approximated", "exporter.dynamic_batch; no other axis is dynamic.")
