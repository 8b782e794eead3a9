"""The files of a run, as a training leaves them, made without one."""

import csv
import json
import math

import yaml
from PIL import Image

MEASURED, OTHER = "a1" * 32, "b2" * 32
ATTACK = "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>"
CONFIG = {
    "name": "digits",
    "model": {"name": "ClassificationModel", "params": {}},
    "trainer": {
        "epochs": 4,
        "callbacks": [
            {"name": "LearningRateMonitor", "params": {}, "active": True},
            {"name": "Timer", "params": {}, "active": False},
        ],
    },
}
METADATA = {
    "seed": 42,
    "git": {"commit": "0123abcd", "dirty": False, "packages": {"luxonis-ml": None}},
    "gpus": {"devices": [{"name": "H100", "memory": 80.5}, {"name": "H100", "memory": 80.5}], "driver": []},
}


def make_run(directory, names=("cat", "dog", "bird")):
    """Write a run of four epochs of ten steps that is complete, with everything that a report shows."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    (directory / "metadata.yaml").write_text(yaml.safe_dump(METADATA))
    write_json(directory / "training.json", record())
    write_metrics(directory, metric_rows())
    write_json(directory / "outcomes.json", {"steps": [outcome("TestOnTrainEnd"), outcome("ExportOnTrainEnd")]})
    counts = [[8, 2, 0], [0, 10, 0], [1, 0, 9]]
    metrics = {"test/loss": 0.21, "test/accuracy": 0.9}
    measured = {"checkpoint": "checkpoints/best.ckpt", "weights_fingerprint": MEASURED, "metrics": metrics}
    write_json(
        directory / "test" / "results.json",
        {"test": measured | {"class_names": list(names), "confusion_matrix": counts}},
    )
    for epoch in range(2):
        picture(directory / "gradcam" / f"epoch_{epoch}" / "batch_0.png", epoch)
    predicted = [{"path": f"in/{name}.png", "class": name, "score": 0.5, "picture": "pictures/0.png"} for name in names]
    write_json(directory / "predictions" / "predictions.json", predicted)
    picture(directory / "predictions" / "pictures" / "0.png", 7)
    return directory


def make_hostile_run(directory):
    """A run in which every text that a file holds, and the names of files, try to become markup."""
    make_run(directory, names=[ATTACK, "{{ 7 * 7 }}", "a" * 300])
    rows = [*metric_rows(), {"step": 3, f"val/{ATTACK}": 1.0, "</script><script>window.hacked=1</script>": 2.0}]
    write_metrics(directory, rows)
    told = record(reason=ATTACK, status=ATTACK, callbacks=[{"name": ATTACK, "origin": ATTACK}])
    told["best"][0] |= {"monitor": f"val/{ATTACK}", "path": "javascript:window.hacked=1"}
    write_json(directory / "training.json", told)
    failed = outcome(ATTACK, status="failed", reason=ATTACK, files={"javascript:window.hacked=1": ATTACK})
    write_json(directory / "outcomes.json", {"steps": [failed | {"details": {"traceback": [ATTACK]}}]})
    (directory / "metadata.yaml").write_text(f"'{ATTACK.replace(chr(39), chr(39) * 2)}': {{a: [b]}}")
    (directory / "config.yaml").write_text(f"name: >-\n  {ATTACK}\n")
    name = ATTACK.replace("/", "")
    picture(directory / "gradcam" / f"{name}.png")
    (directory / f"{name}.txt").touch()
    return directory


def record(**changed):
    """What a complete training records."""
    best = [{"path": "checkpoints/best.ckpt", "monitor": "val/accuracy", "mode": "max", "score": 0.95}]
    return {
        "status": "complete",
        "reason": "",
        "began": "2026-01-01T10:00:00+00:00",
        "ended": "2026-01-01T10:01:30+00:00",
        "process": {"host": "elsewhere", "pid": 1, "created": 0.0},
        "epochs": 4,
        "steps": 40,
        "best": best,
        "callbacks": [
            {"name": "SeedEachBatch", "origin": "added: a resumed run repeats itself"},
            {"name": "LearningRateMonitor", "origin": "trainer.callbacks.0"},
        ],
    } | changed


def outcome(step, **changed):
    """What a step that worked leaves."""
    details = {"metrics": {"test/accuracy": 0.9}} if step == "TestOnTrainEnd" else {"differences": [{"absolute": 1e-6}]}
    return {
        "step": step,
        "status": "ok",
        "reason": "",
        "seconds": 1.25,
        "checkpoint": "checkpoints/best.ckpt",
        "weights_fingerprint": MEASURED,
        "files": {f"{step}.bin": "c3" * 32},
        "details": details,
    } | changed


def metric_rows():
    """Losses at each step, and a validation after each epoch that is best in the third one."""
    rows = [{"step": step, "epoch": step // 10, "train/loss_step": 2 * 0.9**step} for step in range(40)]
    rows += [{"step": step, "lr-Adam": 0.01 * (40 - step) / 40} for step in range(40)]
    for epoch, accuracy in enumerate((0.5, 0.8, 0.95, 0.9)):
        step = 10 * epoch + 9
        rows.append({"step": step, "epoch": epoch, "val/loss": 1 - accuracy, "val/accuracy": accuracy})
        rows.append({"step": step, "epoch": epoch, "train/loss": 2 * 0.9**step})
    rows.append({"step": 39, "epoch": 3, "test/accuracy": 0.9})
    return rows


def write_metrics(directory, rows):
    """Write ``metrics.csv`` as Lightning does."""
    names = sorted({name for row in rows for name in row})
    with (directory / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def picture(path, value=0):
    """Write a small picture that is unlike those of other values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (value % 256, value // 256, 128)).save(path)
    return path


def wave(count):
    """A long curve with one high and one low point."""
    points = [(step, math.sin(step / 50)) for step in range(count)]
    points[count // 3] = (count // 3, 40.0)
    points[count // 2] = (count // 2, -40.0)
    return points
