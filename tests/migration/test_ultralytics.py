"""Training arguments of Ultralytics become a file that ``plan`` accepts, and each of them is accounted for."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cuelight.errors import ConfigError
from cuelight.migration.programs import program_of
from cuelight.migration.ultralytics import convert_ultralytics, is_ultralytics
from cuelight.runs.run import Run
from cuelight.utils import dot_paths
from support.processes import cuelight

# The names in the tables of the documentation: train, augmentation, validation, prediction and export.
ARGUMENTS = {
    "task": "detect", "mode": "train", "model": "yolov8s.pt", "data": "data.yaml", "epochs": 20, "time": None,
    "patience": 8, "batch": 12, "imgsz": 320, "save": True, "save_period": -1, "cache": False, "device": None,
    "workers": 2, "project": "fruit", "name": "first", "exist_ok": False, "pretrained": True, "optimizer": "SGD",
    "verbose": True, "seed": 3, "deterministic": True, "single_cls": False, "rect": False, "cos_lr": False,
    "close_mosaic": 5, "resume": False, "amp": False, "fraction": 1.0, "profile": False, "freeze": None,
    "multi_scale": False, "compile": False, "overlap_mask": True, "mask_ratio": 4, "dropout": 0.0, "val": True,
    "split": "val", "save_json": False, "conf": None, "iou": 0.6, "max_det": 200, "half": False, "dnn": False,
    "plots": True, "source": None, "vid_stride": 1, "stream_buffer": False, "visualize": False, "augment": False,
    "agnostic_nms": False, "classes": None, "retina_masks": False, "embed": None, "show": False,
    "save_frames": False, "save_txt": False, "save_conf": False, "save_crop": False, "show_labels": True,
    "show_conf": True, "show_boxes": True, "line_width": None, "format": "torchscript", "keras": False,
    "optimize": False, "int8": False, "dynamic": False, "simplify": True, "opset": None, "workspace": None,
    "nms": False, "lr0": 0.02, "lrf": 0.1, "momentum": 0.9, "weight_decay": 0.001, "warmup_epochs": 2.0,
    "warmup_momentum": 0.8, "warmup_bias_lr": 0.1, "box": 7.5, "cls": 0.5, "dfl": 1.5, "pose": 12.0, "kobj": 1.0,
    "nbs": 64, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "degrees": 5.0, "translate": 0.2, "scale": 0.3,
    "shear": 2.0, "perspective": 0.0, "flipud": 0.1, "fliplr": 0.4, "bgr": 0.0, "mosaic": 0.8, "mixup": 0.1,
    "cutmix": 0.0, "copy_paste": 0.0, "copy_paste_mode": "flip", "auto_augment": "randaugment", "erasing": 0.4,
    "crop_fraction": 1.0, "cfg": None, "tracker": "botsort.yaml",
}  # fmt: skip
SOURCE = Path("args.yaml")
LINEAR = {"start_factor": 1.0, "end_factor": 0.1}


def convert(**changes):
    return convert_ultralytics({**ARGUMENTS, **changes}, SOURCE)


def verdicts(converted):
    return {row.key: (row.verdict, row.note) for row in converted.rows}


@pytest.fixture
def dataset(tmp_path):
    """Eight images, a file of labels for each, with a box and two points, and class folders beside them."""
    for number in range(8):
        split = "train" if number < 6 else "val"
        for place in (f"images/{split}", f"labels/{split}", f"folders/{split}/{'ab'[number % 2]}"):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{split}/{number}.png")
        shutil.copy(tmp_path / f"images/{split}/{number}.png", tmp_path / f"folders/{split}/{'ab'[number % 2]}")
    content = {"path": str(tmp_path), "train": "images/train", "val": "images/val", "nc": 2, "names": ["a", "b"]}

    def write(points=False):
        line = "{} 0.5 0.5 0.4 0.4" + " 0.4 0.4 2 0.6 0.6 1" * points
        for file in tmp_path.glob("images/*/*.png"):
            label = tmp_path / "labels" / file.parent.name / f"{file.stem}.txt"
            label.write_text(line.format(int(file.stem) % 2))
        shape = {"kpt_shape": [2, 3], "flip_idx": [1, 0]} if points else {}
        (tmp_path / "data.yaml").write_text(yaml.safe_dump(content | shape))
        return tmp_path / "data.yaml"

    return write


@pytest.mark.parametrize(
    ("task", "model", "names"),
    [
        ("detect", "yolov8s.pt", ("DetectionModel", "YoloDetection")),
        ("pose", "yolo11m-pose.pt", ("KeypointModel", "YoloKeypoints")),
        ("classify", "yolov8n-cls.yaml", ("ClassificationModel", "ImageFolder")),
        (None, "yolo11l-pose.yaml", ("KeypointModel", "YoloKeypoints")),
    ],
)
def test_each_task_can_be_planned(dataset, task, model, names, caplog) -> None:
    file = dataset(points=names[0] == "KeypointModel")
    data = str(file.parent / "folders") if task == "classify" else str(file)
    config = convert(task=task, model=model, data=data, mosaic=0.5, pretrained=False).config
    assert (config["model"]["name"], config["data"]["name"]) == names
    assert Run.from_yaml(config).plan()
    assert "EarlyStopping" not in caplog.text


def test_a_converted_file_is_trained_without_a_change(dataset, tmp_path) -> None:
    source = tmp_path / "args.yaml"
    source.write_text(
        yaml.safe_dump({**ARGUMENTS, "data": str(dataset()), "epochs": 2, "imgsz": 64, "workers": 0, "device": "cpu",
                        "pretrained": False, "batch": 2, "model": "yolov8n.yaml"})
    )  # fmt: skip
    done = cuelight("convert", source, "--file", "model.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    done = cuelight("train", "model.yaml", "--output", "runs", folder=tmp_path)
    assert done.code == 0, done.err
    assert list(tmp_path.glob("runs/first/*/export/*.onnx"))


def test_every_argument_is_kept_approximated_or_dropped_with_a_reason() -> None:
    found = verdicts(convert())
    assert ARGUMENTS.keys() <= found.keys()
    assert all(note for verdict, note in found.values() if verdict != "kept")
    unknown = [key for key, (_, note) in found.items() if note == "there is no such setting here."]
    assert unknown == ["pose", "kobj"]  # of another task


def test_arguments_become_their_counterparts() -> None:
    config = convert().config
    assert config["name"] == "first"
    assert config["model"]["params"] == {
        "backbone": "resnet18", "neck": "pan", "pretrained": True, "iou_threshold": 0.6, "max_det": 200,
        "loss": {"varifocal": 1.0, "giou": 2.5},
    }  # fmt: skip
    data = config["data"]["params"]
    assert (data["path"], data["size"]) == ("data.yaml", 320)
    assert (data["mosaic"], data["mixup"], data["close_mosaic"]) == (0.8, 0.1, 5)
    assert data["transforms"] == [
        {"name": "RandomHorizontalFlip", "params": {"p": 0.4}},
        {"name": "RandomVerticalFlip", "params": {"p": 0.1}},
        {
            "name": "RandomAffine",
            "params": {"degrees": 5.0, "translate": [0.2, 0.2], "scale": [0.7, 1.3], "shear": 2.0},
        },
        {"name": "ColorJitter", "params": {"hue": 0.015, "saturation": 0.7, "brightness": 0.4}},
    ]
    trainer = config["trainer"]
    assert (trainer["epochs"], trainer["batch_size"], trainer["num_workers"], trainer["seed"]) == (20, 12, 2, 3)
    assert trainer["deterministic"] is True
    assert trainer["precision"] == "32-true"
    assert trainer["optimizer"] == {"name": "SGD", "params": {"lr": 0.02, "weight_decay": 0.001, "momentum": 0.9}}
    assert trainer["scheduler"] == {
        "name": "LinearLR", "params": {"start_factor": 1.0, "end_factor": 0.1}, "warmup": 2
    }  # fmt: skip
    stopping = {"name": "EarlyStopping", "params": {"monitor": "val/map", "mode": "max", "patience": 8}}
    assert trainer["callbacks"] == [stopping, {"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}]


@pytest.mark.parametrize(
    ("argument", "path", "value", "verdict"),
    [
        ({"imgsz": 650}, "data.params.size", 672, "approximated"),
        ({"imgsz": [320, 256]}, "data.params.size", [320, 256], "kept"),
        ({"imgsz": [640, "a"]}, "data.params.size", 640, "approximated"),
        ({"imgsz": 650, "task": "classify"}, "data.params.size", 650, "kept"),
        ({"cos_lr": True}, "trainer.scheduler.params", {"eta_min": 0.002}, "kept"),
        ({"lrf": 2}, "trainer.scheduler.params", {"start_factor": 1.0, "end_factor": 1.0}, "approximated"),
        ({"fliplr": 2}, "data.params.transforms.0.params.p", 1.0, "approximated"),
        ({"translate": 2}, "data.params.transforms.2.params.translate", [1.0, 1.0], "approximated"),
        ({"warmup_epochs": 0.4}, "trainer.scheduler", {"name": "LinearLR", "params": LINEAR}, "approximated"),
        ({"warmup_epochs": 30}, "trainer.scheduler.warmup", 19, "approximated"),
        ({"optimizer": "auto"}, "trainer.optimizer.params", {"lr": 0.001, "weight_decay": 0.001}, "approximated"),
        ({"optimizer": "RMSProp"}, "trainer.optimizer.name", "RMSprop", "kept"),
        ({"optimizer": "Adam"}, "trainer.optimizer.params.betas", [0.9, 0.999], "kept"),
        ({"batch": -1}, "trainer.batch_size", 16, "approximated"),
        ({"device": "0,1"}, "trainer.devices", [0, 1], "kept"),
        ({"device": "cpu"}, "trainer.accelerator", "cpu", "kept"),
        ({"amp": True}, "trainer.precision", "16-mixed", "kept"),
        ({"time": 1.5}, "trainer.max_time", {"hours": 1.5}, "kept"),
        ({"pretrained": "mine.pt"}, "model.params.pretrained", True, "approximated"),
        ({"model": "yolov8x.yaml"}, "model.params.backbone", "resnet50", "approximated"),
        ({"erasing": 0.4, "task": "classify"}, "data.params.transforms.5.params.p", 0.4, "kept"),
        ({"mixup": 0.3, "task": "classify"}, "data.params.mix_prob", 0.3, "approximated"),
        ({"cutmix": 0.3, "mixup": 0.5, "task": "classify"}, "data.params.mix_prob", 0.8, "approximated"),
        ({"cutmix": 0.3, "mixup": 0.9, "task": "classify"}, "data.params.mix_prob", 1.0, "approximated"),
        ({"conf": 0.3}, "model.params.conf_threshold", 0.3, "kept"),
        ({"half": True}, "exporter.half_precision", True, "kept"),
    ],
)
def test_single_arguments(argument, path, value, verdict) -> None:
    converted = convert(**argument)
    found = dot_paths.get(converted.config, path)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)
    assert verdicts(converted)[next(iter(argument))][0] == verdict


def test_only_the_methods_that_are_used_mix_images() -> None:
    params = convert(task="classify", mixup=0, cutmix=0.2).config["data"]["params"]
    assert (params["cutmix_alpha"], params["mix_prob"], "mixup_alpha" in params) == (1.0, 0.2, False)
    assert verdicts(convert(cutmix=0.2))["cutmix"][0] == "dropped"


def test_weights_of_losses_differ_as_before() -> None:
    params = convert(task="pose", cls=1.0, box=3.0, pose=6.0, kobj=1).config["model"]["params"]
    assert params["loss"] == {"varifocal": 2.0, "giou": 1.0}
    assert (params["oks_weight"], params["visibility_weight"]) == (2.5, 0.5)


def test_a_description_of_a_dataset_is_converted_with_the_usual_arguments(dataset) -> None:
    for points, name in ((False, "DetectionModel"), (True, "KeypointModel")):
        file = dataset(points)
        tree = yaml.safe_load(file.read_text())
        converted = convert_ultralytics(tree, file)
        config = converted.config
        assert (config["model"]["name"], config["data"]["params"]["path"]) == (name, str(file))
        assert (config["data"]["params"]["size"], config["data"]["params"]["mosaic"]) == (640, 1.0)
        assert (config["trainer"]["epochs"], config["trainer"]["batch_size"]) == (100, 16)
        assert config["trainer"]["callbacks"][0]["params"]["patience"] == 100
        assert verdicts(converted).keys() == tree.keys()
        config["model"]["params"]["pretrained"] = False
        assert Run.from_yaml(config).plan()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "segment"}, 'task: the task "segment" has no counterpart. Tasks that have one: detect, pose'),
        ({"model": "yolov8n-obb.pt"}, 'model: the task "obb" has no counterpart'),
    ],
)
def test_a_task_without_a_counterpart(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        convert_ultralytics(arguments, SOURCE)


@pytest.mark.parametrize(
    "tree",
    [
        {"imgsz": "large", "epochs": "many", "batch": [2], "lr0": "fast", "optimizer": "SGD"},
        {"imgsz": [320, 200], "cos_lr": True, "lr0": None, "optimizer": "lion", "patience": 0, "device": [0, 1]},
        {"lr0": -1, "warmup_epochs": "no", "epochs": 1, "translate": 7, "scale": 3, "hsv_h": 9, "momentum": []},
        {"task": "detect", "device": "²", "model.name": "yolov8s.pt"},
        {"task": "pose", "name": "../a", "device": "cuda:1", "model": 3, "time": 1.5, "conf": 0.3, "shear": {"x": 1}},
        {"task": "classify", "auto_augment": "other", "data": ["a"], "label_smoothing": 0.1, "mosaic": 1},
        {"names": {0: "a", 1: "b"}, "train": ["x", "y"], "nc": None, "download": "script", "unknown\nkey": [{"a": 1}]},
        {"names": None, "val": "x"},
    ],
)
def test_strange_files_are_converted_as_far_as_they_go(tree) -> None:
    assert is_ultralytics(tree)
    converted = convert_ultralytics(tree, SOURCE)
    told = {row.key for row in converted.rows}
    assert all(any(said == key or said.startswith(f"{key}.") for said in told) for key in tree)
    assert yaml.safe_load(converted.to_yaml("args.yaml"))["model"]["name"]


@pytest.mark.parametrize(
    ("tree", "program"),
    [
        (ARGUMENTS, "Ultralytics"),
        ({"model": "yolov8n.pt", "epochs": 3}, "Ultralytics"),
        ({"names": ["a"], "train": "images"}, "Ultralytics"),
        ({"loader": {}, "model": {"nodes": []}}, "luxonis-train"),
        ({"model": {"name": "DetectionModel"}, "data": {"name": "YoloDetection"}, "imgsz": 3}, None),
        ({"model": "ClassificationModel", "data": "Digits", "epochs": 3, "name": "a"}, None),
        ({"trainer": {"epochs": 3}, "names": ["a"], "train": 3}, None),
        ({}, None),
    ],
)
def test_files_are_told_apart(tree, program) -> None:
    found = program_of(tree)
    assert (found.name if found else None) == program


def test_commands_recognise_a_file_that_is_not_converted(tmp_path) -> None:
    source = tmp_path / "args.yaml"
    source.write_text(yaml.safe_dump(ARGUMENTS))
    done = cuelight("plan", source, folder=tmp_path)
    assert done.code == 2
    assert f"{source} is a configuration of Ultralytics. Convert it first: cuelight convert {source}" in done.err
    rows = json.loads(cuelight("convert", source, "--file", "b.yaml", "--json", folder=tmp_path).out)
    assert {row["verdict"] for row in rows} == {"kept", "approximated", "dropped"}
    comments = [line for line in (tmp_path / "b.yaml").read_text().splitlines() if line.startswith("# ")]
    assert comments[0] == "# Converted from args.yaml."
    assert "# freeze: dropped: it is not set." in comments
