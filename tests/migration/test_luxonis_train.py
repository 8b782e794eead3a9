"""A configuration of luxonis-train becomes one that ``plan`` accepts, and each of its settings is accounted for."""

import json

import pytest
import yaml

from cuelight.errors import ConfigError
from cuelight.migration.luxonis_train import convert_luxonis_train, is_luxonis_train
from cuelight.runs.run import Run
from cuelight.utils import dot_paths
from support.processes import cuelight

TRAINER = {
    "epochs": 2,
    "batch_size": 16,
    "n_workers": 2,
    "validation_interval": -1,
    "preprocessing": {
        "train_image_size": [64, 96],
        "keep_aspect_ratio": False,
        "normalize": {"active": True, "params": {"mean": [0.5, 0.5, 0.5]}},
        "augmentations": [
            {"name": "HorizontalFlip", "params": {"p": 0.3}},
            {"name": "Affine", "params": {"rotate": 10, "scale": [0.9, 1.1], "translate_percent": [0, 0.1]}},
            {"name": "CoarseDropout"},
            {"name": "Blur", "active": False},
        ],
    },
    "optimizer": {"name": "SGD", "params": {"lr": 0.01, "momentum": 0.9}},
    "callbacks": [
        {"name": "EMACallback", "params": {"decay": 0.99, "unknown": 1}},
        {"name": "GradCamCallback", "params": {"target_layer": -10}},
        {"name": "EarlyStopping", "params": {"monitor": "val/loss", "patience": 3}, "active": False},
        {"name": "LuxonisProgressBar"},
    ],
}


def file_of(model, variant="light", **loader):
    return {
        "model": {"name": "mine", "predefined_model": {"name": model, "params": {"variant": variant}}},
        "loader": {"params": {"dataset_dir": "photos", **loader}},
        "trainer": TRAINER,
        "tracker": {"save_directory": "out", "is_wandb": True, "project_name": "fruit"},
        "exporter": {"onnx": {"opset_version": 12}, "hubai": {"active": True}},
    }


def verdicts(converted):
    return {row.key: (row.verdict, row.note) for row in converted.rows}


@pytest.mark.parametrize("variant", ["light", "heavy"])
@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("ClassificationModel", "ImageFolder"),
        ("SegmentationModel", "MaskFolder"),
        ("DetectionModel", "CocoDetection"),
        ("KeypointDetectionModel", "CocoKeypoints"),
    ],
)
def test_each_model_can_be_planned(model, data, variant) -> None:
    converted = convert_luxonis_train(file_of(model, variant))
    assert converted.config["data"]["name"] == data
    names = [type(entry.callback).__name__ for entry in Run.from_yaml({**converted.config, "tracker": {}}).plan()]
    assert {"EMACallback", "GradCamCallback", "TestOnTrainEnd"} <= set(names)


def test_settings_become_their_counterparts() -> None:
    config = convert_luxonis_train(file_of("ClassificationModel")).config
    assert config["name"] == "mine"
    assert config["model"]["params"] == {"backbone": "resnet18"}
    data = config["data"]["params"]
    assert (data["path"], data["size"], data["resize"]) == ("photos", [64, 96], "stretch")
    assert (data["mean"], data["std"]) == ([0.5, 0.5, 0.5], [0.229, 0.224, 0.225])
    assert data["transforms"] == [
        {"name": "RandomHorizontalFlip", "params": {"p": 0.3}},
        {"name": "RandomAffine", "params": {"degrees": 10, "scale": [0.9, 1.1], "translate": [0.1, 0.1]}},
    ]
    trainer = config["trainer"]
    assert (trainer["num_workers"], trainer["validation_interval"], trainer["accumulate_grad_batches"]) == (2, 2, 4)
    assert trainer["optimizer"] == TRAINER["optimizer"]
    assert [entry["name"] for entry in trainer["callbacks"]] == [
        *("EMACallback", "GradCamCallback", "EarlyStopping", "UploadCheckpoint", "TestOnTrainEnd"),
        *("ExportOnTrainEnd", "ArchiveOnTrainEnd"),
    ]
    assert trainer["callbacks"][0]["params"] == {"decay": 0.99}
    assert trainer["callbacks"][2]["active"] is False
    assert config["tracker"] == {"wandb": {"project": "fruit"}}
    assert config["exporter"] == {"opset": 12}


def test_what_is_missing_is_not_added_if_it_is_switched_off() -> None:
    trainer = {"smart_cfg_auto_populate": False, "batch_size": 8, "deterministic": False}
    converted = convert_luxonis_train(file_of("DetectionModel") | {"trainer": trainer})
    assert converted.config["trainer"]["callbacks"] == []
    assert "accumulate_grad_batches" not in converted.config["trainer"]
    found = verdicts(converted)
    assert found["trainer.smart_cfg_auto_populate"] == ("kept", "nothing is added.")
    assert found["trainer.deterministic"][0] == "kept"


@pytest.mark.parametrize("given", [{}, {"accumulate_grad_batches": 3}])
def test_accumulation_is_set_once(given) -> None:
    scheduler = {"name": "GradientAccumulationScheduler", "params": {"scheduling": {0: 1, 1: 4}}}
    converted = convert_luxonis_train(file_of("ClassificationModel") | {"trainer": {**given, "callbacks": [scheduler]}})
    assert "accumulate_grad_batches" not in converted.config["trainer"]
    assert Run.from_yaml({**converted.config, "tracker": {}}).plan()
    without = convert_luxonis_train(file_of("ClassificationModel") | {"trainer": {"batch_size": 16, **given}})
    assert without.config["trainer"]["accumulate_grad_batches"] == given.get("accumulate_grad_batches", 4)
    key = "trainer.accumulate_grad_batches"
    assert verdicts(without)[key if given else f"{key} (default)"][0] == "kept"


def test_trackers_have_their_names() -> None:
    tracker = {"project_name": "fruit", "run_name": "first", "wandb_entity": "team", "run_id": "a1"}
    given = file_of("DetectionModel") | {"tracker": {**tracker, "is_wandb": True, "is_mlflow": True}}
    both = convert_luxonis_train(given)
    assert both.config["tracker"] == {
        "mlflow": {"experiment": "fruit", "run_name": "first"},
        "wandb": {"project": "fruit", "name": "first", "entity": "team"},
    }
    assert verdicts(both)["tracker.wandb_entity"] == ("kept", "tracker.wandb.entity")
    off = verdicts(convert_luxonis_train(file_of("DetectionModel") | {"tracker": {**tracker, "is_wandb": False}}))
    assert off["tracker.wandb_entity"] == ("dropped", "no tracker that is used needs it.")
    assert off["tracker.is_wandb"][0] == "kept"


@pytest.mark.parametrize(
    ("given", "interval"),
    [
        ({"epochs": 3}, 3),
        ({"epochs": 3, "validation_interval": -1}, 3),
        ({"epochs": 3, "validation_interval": 10}, 3),
        ({"epochs": 30, "validation_interval": 10}, 10),
        ({}, 5),
    ],
)
def test_a_training_is_validated_at_the_latest_in_its_last_epoch(given, interval) -> None:
    trainer = convert_luxonis_train(file_of("DetectionModel") | {"trainer": given}).config["trainer"]
    assert trainer["validation_interval"] == interval


@pytest.mark.parametrize(
    ("given", "written", "verdict"),
    [
        ({}, None, None),
        ({"seed": 1}, True, None),
        ({"seed": 1, "deterministic": False}, False, "kept"),
        ({"deterministic": True}, True, "kept"),
        ({"seed": 1, "deterministic": "warn"}, False, "approximated"),
    ],
)
def test_deterministic(given, written, verdict) -> None:
    converted = convert_luxonis_train(file_of("DetectionModel") | {"trainer": given})
    assert converted.config["trainer"].get("deterministic") is written
    assert verdicts(converted).get("trainer.deterministic", (None,))[0] == verdict


@pytest.mark.parametrize("name", ["ConvertOnTrainEnd", "GradCamCallback", "TestOnTrainEnd"])
def test_callbacks_that_are_switched_off_stay_so(name) -> None:
    trainer = {"callbacks": [{"name": name, "active": False}], "smart_cfg_auto_populate": False}
    callbacks = convert_luxonis_train(file_of("DetectionModel") | {"trainer": trainer}).config["trainer"]["callbacks"]
    assert callbacks
    assert not any(entry.get("active", True) for entry in callbacks)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_callback_that_is_used_once_is_used(is_first) -> None:
    entries = [{"name": "ConvertOnTrainEnd", "active": False}, {"name": "ExportOnTrainEnd"}]
    trainer = {"callbacks": entries if is_first else entries[::-1], "smart_cfg_auto_populate": False}
    callbacks = convert_luxonis_train(file_of("DetectionModel") | {"trainer": trainer}).config["trainer"]["callbacks"]
    assert {entry["name"]: entry.get("active", True) for entry in callbacks} == {
        "ExportOnTrainEnd": True, "ArchiveOnTrainEnd": False,
    }  # fmt: skip


def test_the_schedule_of_accumulation_is_that_of_luxonis_train() -> None:
    scheduler = {"name": "GradientAccumulationScheduler", "params": {"scheduling": {0: 1, 5: 2}}}
    trainer = {"batch_size": 16, "callbacks": [scheduler]}
    for model, scheduling in (("DetectionModel", {0: 1, 5: 2}), ("KeypointDetectionModel", {0: 1, 1: 2, 2: 4})):
        config = convert_luxonis_train(file_of(model) | {"trainer": trainer}).config
        assert config["trainer"]["callbacks"][0]["params"] == {"scheduling": scheduling}
    off = scheduler | {"active": False}
    config = convert_luxonis_train(file_of("DetectionModel") | {"trainer": trainer | {"callbacks": [off]}}).config
    assert config["trainer"]["accumulate_grad_batches"] == 4


@pytest.mark.parametrize(
    ("given", "scheduler"),
    [
        ({"lre": 0.001}, {"name": "CosineAnnealingLR", "params": {"eta_min": 0.001}, "warmup": 3}),
        (
            {"lr": 0.01, "lre": 0.001, "cosine_annealing": False, "warmup_epochs": 20},
            {"name": "LinearLR", "params": {"start_factor": 1.0, "end_factor": 0.1}, "warmup": 9},
        ),
        (
            {"lr": "fast", "cosine_annealing": False, "warmup_epochs": 0},
            {"name": "LinearLR", "params": {"start_factor": 1.0, "end_factor": 0.0}},
        ),
    ],
)
def test_the_strategy_becomes_an_optimizer_and_a_scheduler(given, scheduler) -> None:
    strategy = {"name": "TripleLRSGDStrategy", "params": given | {"momentum": 0.8}}
    trainer = {"epochs": 10, "training_strategy": strategy, "optimizer": {"name": "Adam"}}
    converted = convert_luxonis_train(file_of("DetectionModel") | {"trainer": trainer})
    optimizer = converted.config["trainer"]["optimizer"]
    assert converted.config["trainer"]["scheduler"] == scheduler
    expected = {"lr": given.get("lr", 0.02), "momentum": 0.8, "weight_decay": 0.0005, "nesterov": True}
    assert optimizer == {"name": "SGD", "params": expected, "decay_norms": False}
    found = verdicts(converted)
    assert (found["trainer.training_strategy"][0], found["trainer.optimizer.name"][0]) == ("approximated", "dropped")
    if given.get("lr") != "fast":
        assert Run.from_yaml({**converted.config, "tracker": {}}).plan()


def test_options_of_the_export() -> None:
    onnx = {"disable_onnx_simplification": True, "dynamic_axes": {"image": {0: "batch"}}}
    converted = convert_luxonis_train(file_of("DetectionModel") | {"exporter": {"onnx": onnx, "mean_values": [1]}})
    assert converted.config["exporter"] == {"opset": 16, "simplify": False, "dynamic_batch": True}
    found = verdicts(converted)
    assert found["exporter.onnx.disable_onnx_simplification"] == ("kept", "exporter.simplify")
    assert found["exporter.onnx.dynamic_axes"][0] == "approximated"
    assert found["exporter.mean_values"] == ("dropped", "it follows from the parameters of the data.")


def test_defaults_of_luxonis_train_are_written_out() -> None:
    config = convert_luxonis_train({"model": {"predefined_model": {"name": "DetectionModel:v1"}}}).config
    trainer = config["trainer"]
    assert (trainer["epochs"], trainer["batch_size"], trainer["validation_interval"]) == (100, 32, 5)
    assert (trainer["optimizer"], trainer["scheduler"]) == ({"name": "Adam"}, {"name": "ConstantLR"})
    assert config["data"]["params"]["size"] == [256, 256]
    assert config["data"]["params"]["resize"] == "letterbox"
    assert config["exporter"]["opset"] == 16


def test_every_setting_is_kept_approximated_or_dropped_with_a_reason() -> None:
    tree = file_of("DetectionModel", dataset_type="yolov8", dataset_name="a")
    found = verdicts(convert_luxonis_train(tree))
    for key in dot_paths.flattened(tree):
        assert any(key == said or key.startswith(f"{said}.") or said.startswith(f"{key}.") for said in found), key
    assert found["trainer.preprocessing.augmentations.1"][0] == "approximated"
    assert found["trainer.preprocessing.augmentations.2"] == (
        "dropped",
        "torchvision has no transform like CoarseDropout.",
    )
    assert found["trainer.callbacks.0.params.unknown"][0] == "dropped"
    assert found["exporter.hubai.active"][0] == "dropped"
    assert all(note for verdict, note in found.values() if verdict != "kept")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"predefined_model": {"name": "OCRRecognitionModel"}},
            'the predefined model "OCRRecognitionModel" has no',
        ),
        ({"nodes": [{"name": "ResNet"}]}, "model: a model made of nodes has no counterpart"),
    ],
)
def test_a_model_without_a_counterpart(model, message) -> None:
    with pytest.raises(ConfigError, match=message):
        convert_luxonis_train({"model": model})


@pytest.mark.parametrize(
    "tree",
    [
        {"trainer": {"batch_size": "many", "callbacks": [3, None, {"params": 3}], "optimizer": "Adam"}},
        {"trainer": {"callbacks": {"name": "EMACallback"}, "preprocessing": {"augmentations": ["Blur"]}}},
        {"loader": None, "tracker": [], "exporter": {"onnx": None}},
        {"trainer": {"batch_size": None, "validation_interval": None, "epochs": None}},
        {"trainer": None, "unknown\nkey": {"a": [1, {"b": 2}]}},
        {"trainer": {"callbacks": [{"name": ["a"]}], "training_strategy": "TripleLRSGDStrategy"}},
        {"loader": {"params": {"dataset_type": ["coco"], "dataset_dir": 3}}},
    ],
)
def test_strange_files_are_converted_as_far_as_they_go(tree) -> None:
    given = {"model": {"predefined_model": {"name": "ClassificationModel"}}, **tree}
    text = convert_luxonis_train(given).to_yaml("a.yaml")
    assert yaml.safe_load(text)["model"]["name"] == "ClassificationModel"


@pytest.mark.parametrize("tree", [{"trainer.epochs": 3}, {"trainer": {"optimizer.name": "SGD"}}, {"model.name": "a"}])
def test_keys_with_dots_are_dropped(tree) -> None:
    given = {"model": {"predefined_model": {"name": "ClassificationModel"}}, "loader": {}}
    converted = convert_luxonis_train(given | tree)
    assert converted.config == convert_luxonis_train(given).config
    (key,) = dot_paths.flattened(tree)
    assert verdicts(converted)[key] == ("dropped", "there is no such setting here.")


def test_other_files_are_told_apart() -> None:
    assert not is_luxonis_train({"model": {"name": "ClassificationModel"}, "data": {"name": "Digits"}})
    assert not is_luxonis_train({})
    assert is_luxonis_train(file_of("DetectionModel"))


def test_the_command_writes_a_file_and_a_table(tmp_path) -> None:
    source = tmp_path / "theirs.yaml"
    source.write_text(yaml.safe_dump(file_of("ClassificationModel")))
    done = cuelight("convert", source, "--file", "model.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    assert "trainer.n_workers" in done.out
    text = (tmp_path / "model.yaml").read_text()
    assert text.startswith("# Converted from theirs.yaml.\n# ")
    assert yaml.safe_load(text)["trainer"]["epochs"] == 2
    again = cuelight("convert", source, "--file", "model.yaml", folder=tmp_path)
    assert (again.code, "already exists" in again.err) == (2, True)
    rows = json.loads(cuelight("convert", source, "--file", "b.yaml", "--json", folder=tmp_path).out)
    assert {row["verdict"] for row in rows} == {"kept", "approximated", "dropped"}


@pytest.mark.parametrize("command", ["train", "plan"])
def test_an_unconverted_file_names_the_command(tmp_path, command) -> None:
    source = tmp_path / "theirs.yaml"
    source.write_text(yaml.safe_dump(file_of("ClassificationModel")))
    done = cuelight(command, source, folder=tmp_path)
    assert done.code == 2
    assert done.err == (
        f"error: {source} is a configuration of luxonis-train. Convert it first: cuelight convert {source}\n"
    )


def test_a_file_of_cuelight_is_not_converted(tmp_path) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text("model: {name: ClassificationModel}\ndata: {name: Digits}\n")
    done = cuelight("convert", source, "--file", "b.yaml", folder=tmp_path)
    assert (done.code, (tmp_path / "b.yaml").exists()) == (2, False)
