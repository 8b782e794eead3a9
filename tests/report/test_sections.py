"""What each section of the page is made of."""

import math
import os
import shutil
import socket

import psutil
import pytest
import yaml

from cuelight.errors import CuelightError
from cuelight.report import write_report
from cuelight.report.curves import read_curves
from cuelight.report.galleries import (
    EXPLAIN_FOLDER,
    GRADCAM_FOLDER,
    curve_gallery,
    example_gallery,
    newest_gallery,
    prediction_gallery,
)
from cuelight.report.measurements import read_measurements
from cuelight.report.settings import list_files, read_callbacks, read_config, read_metadata, read_trackers
from cuelight.report.steps import read_steps
from cuelight.report.verdicts import best_of, verdict_of
from support.run_files import MEASURED, OTHER, make_run, outcome, picture, record, write_json


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def this_process(**changed):
    own = {"host": socket.gethostname(), "pid": os.getpid(), "created": psutil.Process().create_time()}
    return record(status="running", process=own | changed)


def verdict(run, told):
    return verdict_of(run, told, read_steps(run))


@pytest.mark.parametrize(
    ("told", "tone", "headline", "command"),
    [
        (record(), "good", "The training is complete", ""),
        (record(status="interrupted", reason="stopped by SIGINT"), "warning", "interrupted", "train --resume"),
        (record(status="failed", reason="ValueError: x"), "bad", "failed", "train --resume"),
        (this_process(), "warning", "still running", ""),
        (this_process(created=1.0), "bad", "was killed", "train --resume"),
        (this_process(pid=2**22 + 1), "bad", "was killed", "train --resume"),
        (this_process(host="elsewhere"), "warning", "was running on elsewhere at its last update", "train --resume"),
        ({}, "good", "The training has ended", ""),
    ],
    ids=["complete", "interrupted", "failed", "running", "pid taken again", "pid gone", "elsewhere", "no record"],
)
def test_verdict_by_what_the_training_recorded(run, told, tone, headline, command) -> None:
    found = verdict(run, told)
    assert found.tone == tone
    assert headline in found.headline
    assert command in found.command


def test_one_epoch_is_one(run) -> None:
    assert verdict(run, record(epochs=1)).details[0].startswith("1 epoch, 40 optimizer steps")


def test_verdict_names_the_step_that_failed(run) -> None:
    failed = outcome("ExportOnTrainEnd", status="failed", reason="no space left")
    write_json(run / "outcomes.json", {"steps": [outcome("TestOnTrainEnd"), failed]})
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "checkpoints" / "best.ckpt").touch()
    found = verdict(run, record())
    assert (found.tone, found.headline) == ("bad", "ExportOnTrainEnd failed after the training")
    assert "cuelight finish" in found.command


def test_verdict_without_anything_says_so(tmp_path) -> None:
    assert "status of the training is unknown" in verdict(tmp_path, {}).headline


def test_a_command_of_the_verdict_can_be_pasted(tmp_path) -> None:
    folder = tmp_path / "it's a run"
    folder.mkdir()
    (folder / "config.yaml").touch()
    assert "'\"'\"'" in verdict(folder, record(status="failed")).command


@pytest.mark.parametrize(("exported", "agreement"), [(MEASURED, True), (OTHER, False)], ids=["same", "other"])
def test_measured_and_exported_weights_are_compared(run, exported, agreement) -> None:
    export = outcome("ExportOnTrainEnd", weights_fingerprint=exported)
    write_json(run / "outcomes.json", {"steps": [outcome("TestOnTrainEnd"), export]})
    assert read_steps(run).agreement is agreement
    assert verdict(run, record()).tone == ("good" if agreement else "bad")


def test_nothing_is_compared_where_nothing_was_exported(run) -> None:
    write_json(run / "outcomes.json", {"steps": [outcome("TestOnTrainEnd")]})
    assert read_steps(run).agreement is None


def test_best_checkpoint_is_found_on_its_curve(run) -> None:
    best = best_of(record(), read_curves(run))
    assert (best.monitor, best.score, best.step, best.epoch) == ("val/accuracy", 0.95, 29, 3)


def test_best_score_that_is_not_finite_is_told_and_nowhere_on_its_curve(run) -> None:
    told = record()
    told["best"][0]["score"] = None
    best = best_of(told, read_curves(run))
    assert math.isnan(best.score)
    assert (best.path, best.step) == ("checkpoints/best.ckpt", None)


def test_best_so_far_is_the_lowest_validation_loss(run) -> None:
    best = best_of({}, read_curves(run))
    assert (best.monitor, best.path, best.step) == ("val/loss", "", 29)


def test_confusion_matrix_counts_and_mistakes(run) -> None:
    (measured,) = read_measurements(run)
    assert measured["matrix"]["caption"] == "27 of 30 images right"
    assert measured["matrix"]["recalls"] == ["80%", "100%", "90%"]
    assert measured["mistakes"] == ["cat predicted as dog: 2 of 10", "bird predicted as cat: 1 of 10"]


def test_pixels_are_shown_as_shares_with_the_iou_of_each_class(run) -> None:
    counts = [[90_000, 9_990, 10], [0, 50, 0], [0, 0, 0]]
    entry = {"metrics": {}, "confusion_unit": "pixels", "confusion_matrix": counts}
    entry["class_iou"] = {"background": 0.9, "cat": 0.25, "dog": None}
    write_json(run / "test" / "results.json", {"test": entry})
    (measured,) = read_measurements(run)
    assert measured["matrix"]["caption"] == "90.0% of 100,050 pixels right; in the cells, percent of the true class"
    assert [cell["text"] for cell in measured["matrix"]["cells"]] == ["90", "10", "", "100"]
    assert measured["matrix"]["cells"][1]["words"] == "9990 pixels of 0 predicted as 1"
    assert measured["tables"] == [(("class", "IoU"), [("background", "0.9000"), ("cat", "0.2500"), ("dog", "absent")])]


def test_examples_of_predictions_are_shown(run) -> None:
    assert example_gallery(run).total == 0
    picture(run / "test" / "predictions.png")
    picture(run / "test" / "confusion_matrix_test.png")
    picture(run / "test" / "precision_recall.png")
    assert [shown["path"] for shown in example_gallery(run).pictures] == ["test/predictions.png"]
    assert [shown["path"] for shown in curve_gallery(run).pictures] == ["test/precision_recall.png"]


def test_of_equally_frequent_mistakes_the_larger_share_comes_first_and_the_rest_is_counted(run) -> None:
    counts = [[20 if row == column else 1 for column in range(10)] for row in range(10)]
    counts[7] = [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    write_json(run / "test" / "results.json", {"test": {"metrics": {}, "confusion_matrix": counts}})
    (measured,) = read_measurements(run)
    assert measured["mistakes"][0] == "7 predicted as 2: 1 of 2"
    assert (len(measured["mistakes"]), measured["other_mistakes"]) == (8, 9 * 9 + 1 - 8)


def test_long_names_keep_the_end_by_which_they_differ(run) -> None:
    names = [f"class of animals {number}" for number in range(3)]
    (measured,) = read_measurements(make_run(run, names))
    assert measured["matrix"]["names"] == ["class …imals 0", "class …imals 1", "class …imals 2"]


def test_very_many_classes_are_not_drawn(run) -> None:
    counts = [[int(row == column) for column in range(300)] for row in range(300)]
    write_json(run / "test" / "results.json", {"test": {"metrics": {}, "confusion_matrix": counts}})
    (measured,) = read_measurements(run)
    assert measured["matrix"] is None
    assert measured["classes"] == 300


def test_test_comes_before_other_views(run) -> None:
    write_json(run / "test" / "results_train.json", {"train": {"metrics": {"train/loss": None}}})
    assert [measured["view"] for measured in read_measurements(run)] == ["test", "train"]
    assert read_measurements(run)[1]["metrics"] == [("train/loss", "not a number")]


def test_newest_gradcam_pictures_are_shown_and_the_others_counted(run) -> None:
    for number in range(20):
        file = picture(run / "gradcam" / f"step_{number}" / "0.png", number)
        os.utime(file, (number + 1, number + 1))
    for number, file in enumerate(sorted((run / "gradcam").glob("epoch_*/*.png"))):
        os.utime(file, (100 + number, 100 + number))
    gallery = newest_gallery(run, GRADCAM_FOLDER)
    assert [shown["caption"] for shown in gallery.pictures[:3]] == [
        "epoch_1/batch_0.png", "epoch_0/batch_0.png", "step_19/0.png",
    ]  # fmt: skip
    assert (len(gallery.pictures), gallery.total, gallery.left_out) == (12, 22, 10)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"<svg onload='alert(1)'/>"], ids=["empty", "cut", "svg"]
)
def test_a_damaged_picture_is_named(run, content) -> None:
    (run / "gradcam" / "bad.png").write_bytes(content)
    gallery = newest_gallery(run, GRADCAM_FOLDER)
    assert gallery.damaged == ["gradcam/bad.png"]
    assert len(gallery.pictures) == 2


def test_pictures_of_explain_are_shown_beside_those_of_the_training(run) -> None:
    assert "cuelight explain" not in write_report(run).read_text()
    picture(run / "explain" / "pictures" / "cat.png")
    picture(run / "explain" / "overview_1.png")
    assert [shown["path"] for shown in newest_gallery(run, EXPLAIN_FOLDER).pictures] == ["explain/pictures/cat.png"]
    text = write_report(run).read_text()
    assert text.count('href="explain/pictures/cat.png"') >= 2  # the picture and the list of files
    assert "<h3>During the training</h3>" in text
    shutil.rmtree(run / "gradcam")
    text = write_report(run).read_text()
    assert "no Grad-CAM pictures" not in text
    assert "<figcaption>cat.png" in text
    shutil.rmtree(run / "explain")
    assert "cuelight explain" in write_report(run).read_text()


def test_without_predictions_the_examples_of_the_test_stand_alone(run) -> None:
    shutil.rmtree(run / "predictions")
    picture(run / "test" / "predictions.png")
    text = write_report(run).read_text()
    assert "There are no predictions" not in text
    assert "To predict images: <code>cuelight predict" in text


def test_epochs_that_count_from_0_are_told(run) -> None:
    assert "in the files of the trackers counts from 0" in write_report(run).read_text()


def test_a_run_without_a_finite_model_cannot_be_finished(run) -> None:
    write_json(run / "outcomes.json", {"steps": [outcome("TestOnTrainEnd", status="failed", reason="no model")]})
    (run / "checkpoints").mkdir(exist_ok=True)
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    (run / "checkpoints" / "last.ckpt").touch()
    assert verdict(run, record()).command == ""
    (run / "checkpoints" / "best.ckpt").touch()
    assert "cuelight finish" in verdict(run, record()).command


def test_least_sure_predictions_come_first(run) -> None:
    scores = [None, 0.9, 0.2, math.nan, 0.6]
    for number in range(5):
        picture(run / "predictions" / "pictures" / f"{number}.png", number)
    entries = [
        {"path": f"{score}.png", "score": score, "picture": f"pictures/{n}.png"} for n, score in enumerate(scores)
    ]
    write_json(run / "predictions" / "predictions.json", entries)
    assert [shown["caption"] for shown in prediction_gallery(run).pictures] == [
        "0.2.png", "0.6.png", "0.9.png", "None.png", "nan.png",
    ]  # fmt: skip


def test_metadata_is_flat_within_its_sections(run) -> None:
    sections = dict(read_metadata(run))
    assert sections["general"] == [("seed", "42")]
    assert sections["git"] == [("commit", "0123abcd"), ("dirty", "no"), ("packages.luxonis-ml", "none")]
    assert ("devices.1.name", "H100") in sections["gpus"]
    assert ("driver", "none") in sections["gpus"]


@pytest.mark.parametrize("text", ["password: hunter3 : 5", "password: !hunter3 x", "password: *hunter3"])
def test_what_is_wrong_with_a_file_is_told_by_its_line_without_quoting_a_secret(run, text) -> None:
    for file, read in (("config.yaml", read_config), ("metadata.yaml", read_metadata)):
        (run / file).write_text(f"name: x\n{text}\n")
        with pytest.raises(CuelightError, match=rf"{file} is damaged: {file}:2") as raised:
            read(run)
        assert "hunter3" not in str(raised.value)


def test_metadata_runs_no_code(run) -> None:
    (run / "metadata.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(CuelightError, match=r"metadata\.yaml is damaged"):
        read_metadata(run)


def test_callbacks_are_those_that_were_recorded(run) -> None:
    assert read_callbacks(run, record())[0] == ("SeedEachBatch", "added: a resumed run repeats itself")


def test_callbacks_of_the_file_where_none_were_recorded(run) -> None:
    assert read_callbacks(run, {}) == [
        ("LearningRateMonitor", "trainer.callbacks.0"),
        ("Timer", "trainer.callbacks.1, switched off by active: false"),
    ]


def test_a_folder_of_many_files_is_one_row(run) -> None:
    for number in range(30):
        picture(run / "gradcam" / "many" / f"{number}.png", number)
    files = list_files(run, run / "report.html")
    assert files.total == 40
    assert [(path, count) for path, count, _ in files.rows if "many" in path] == [("gradcam/many", "30 files")]


def test_a_file_that_vanishes_meanwhile_is_left_out(run) -> None:
    for name in ("a.txt", "gradcam/a.png", "sub/metrics.csv"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).symlink_to("nowhere")  # listed, and not there when it is looked at
    assert list_files(run, run / "report.html").total == 10
    assert newest_gallery(run, GRADCAM_FOLDER).total == 2
    assert read_curves(run).source == "metrics.csv"


def test_trackers_are_told_without_secrets(run) -> None:
    trackers = {"csv": False, "wandb": True, "mlflow": {"tracking_uri": "http://ada:x@host:5000", "experiment": "e"}}
    (run / "config.yaml").write_text(yaml.safe_dump({"tracker": trackers}, sort_keys=False))
    assert read_trackers(run) == "wandb, mlflow (tracking_uri: http://REDACTED@host:5000; experiment: e)"


def test_configuration_is_shown_without_secrets(run) -> None:
    (run / "config.yaml").write_text("data:\n  password: hunter2\n  seed: 3\n")
    assert "hunter2" not in read_config(run)
    assert "seed: 3" in read_config(run)


def test_reasons_and_tracebacks_are_shown_without_secrets(run) -> None:
    secret = "no answer from https://ada:hunter2@host/?token=hunter2"
    failed = outcome("ExportOnTrainEnd", status="failed", reason=secret, details={"traceback": [f"E: {secret}\n"]})
    write_json(run / "outcomes.json", {"steps": [failed]})
    (step,) = read_steps(run).steps
    assert "hunter2" not in step["reason"] + step["traceback"]
    assert "REDACTED" in step["reason"]
    assert "REDACTED" in step["traceback"]
    assert "hunter2" not in "".join(verdict(run, record(status="failed", reason=secret)).details)


def test_upload_is_not_compared_and_names_its_place(run) -> None:
    sent = {"mlflow": {"name": "best_loss.ckpt", "sha256": "d4" * 32}}
    upload = outcome("UploadCheckpoint", weights_fingerprint=OTHER, details={"uploads": sent})
    write_json(run / "outcomes.json", {"steps": [outcome("TestOnTrainEnd"), outcome("ExportOnTrainEnd"), upload]})
    steps = read_steps(run)
    assert steps.agreement is True
    assert steps.steps[2]["reason"] == "sent to mlflow: best_loss.ckpt"
