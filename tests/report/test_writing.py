"""The page as a whole: from any run directory, whatever is missing, damaged or hostile."""

import json
import os
import re
import shutil

import pytest

from cuelight.errors import CheckpointError, CuelightError
from cuelight.report import write_report
from support.run_files import make_hostile_run, make_run, metric_rows, picture, write_metrics


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def text_of(page):
    return page.read_text(encoding="utf-8")


def test_page_lies_in_the_run_directory(run) -> None:
    assert write_report(run) == run / "report.html"


def test_page_shows_every_section(run) -> None:
    text = text_of(write_report(run))
    for shown in (
        "The training is complete", "4 epochs, 40 optimizer steps, 1 min 30 s", "<td>0.9500</td>", "best.ckpt",
        "cat predicted as dog: 2 of 10", "ExportOnTrainEnd", "differs from PyTorch by at most 1e-06", "the same",
        "In the order in which they ran", "added: a resumed run repeats itself", "luxonis-ml",
        "name: LearningRateMonitor", "metadata.yaml",
    ):  # fmt: skip
        assert shown in text
    assert text.count('<figure class="chart') == 3
    assert text.count('src="data:image/png;base64,') == 5
    assert "Not shown" not in text


def test_page_asks_for_nothing_from_elsewhere(run) -> None:
    text = text_of(write_report(run))
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*:[^"]*)"', text) == []
    assert "http" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL).replace("http-equiv", "")
    assert "default-src 'none'" in text


def test_links_are_relative_to_the_page(run, tmp_path) -> None:
    (run / "a b#c.txt").touch()
    assert 'href="a%20b%23c.txt"' in text_of(write_report(run))
    assert 'href="../run/a%20b%23c.txt"' in text_of(write_report(run, tmp_path / "pages" / "page.html"))


def test_page_does_not_list_itself(run) -> None:
    write_report(run)
    assert 'href="report.html"' not in text_of(write_report(run))


@pytest.mark.parametrize(
    "file",
    [
        "training.json",
        "metrics.csv",
        "outcomes.json",
        "test/results.json",
        "predictions/predictions.json",
        "metadata.yaml",
        "config.yaml",
    ],
)
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00{[", b"[1, 2]", b'{"steps": 3, "best": [7], "test": 1}', b"[" * 100_000],
    ids=["empty", "no text", "a list", "other types", "deep"],
)
def test_a_damaged_file_prevents_no_page(run, file, content) -> None:
    (run / file).write_bytes(content)
    text = text_of(write_report(run))
    assert "<h2>Files</h2>" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("outcomes.json", "this file is damaged"),
        ("training.json", "training.json: this file is damaged"),
        ("test/results.json", "results.json: this file is damaged"),
        ("predictions/predictions.json", "predictions.json: this file is damaged"),
    ],
)
def test_damage_is_told(run, file, told) -> None:
    (run / file).write_text("{")
    text = text_of(write_report(run))
    assert text.count("Not shown:") == 1
    assert told in text


def test_a_chart_that_cannot_be_drawn_leaves_the_others_alone(run) -> None:
    write_metrics(run, [*metric_rows(), {"step": 1, "vast": -1.7e308}, {"step": 2, "vast": 1.7e308}])
    text = text_of(write_report(run))
    assert text.count('<figure class="chart') == 3
    assert text.count("Not shown, chart of vast:") == text.count("Not shown") == 1


def test_a_problem_is_told_without_secrets(run) -> None:
    (run / "test" / "results.json").write_text('{"test": {"confusion_matrix": [["https://ada:hunter2@host"]]}}')
    text = text_of(write_report(run))
    assert "https://REDACTED@host" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("metrics.csv", "They may be in a tracker"),
        ("outcomes.json", "No step after the training has run"),
        ("test", "There are no test results"),
        ("predictions", "There are no predictions"),
        ("gradcam", "no Grad-CAM pictures"),
        ("metadata.yaml", "MetadataLogger"),
        ("config.yaml", "not made by"),
        ("training.json", "The callbacks of config.yaml"),
    ],
)
def test_what_is_missing_is_told(run, missing, told) -> None:
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert told in text_of(write_report(run))


def test_folder_of_runs_is_no_run(run) -> None:
    with pytest.raises(CheckpointError, match=r"contains 1 of them. Pass one, such as .*run"):
        write_report(run.parent)
    assert not list(run.parent.glob("*.html"))


def test_text_of_files_never_becomes_markup(tmp_path) -> None:
    text = text_of(write_report(make_hostile_run(tmp_path / "run")))
    assert "<script>window" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;window.hacked=1" in text
    assert 'href="javascript:' not in text
    assert "{{ 7 * 7 }}" in text
    assert text.count("<script") == text.count("</script>")


def test_names_that_are_no_unicode_are_shown(run) -> None:
    (run / b"\xff.txt".decode(errors="surrogateescape")).touch()
    assert ".txt" in text_of(write_report(run))


def test_a_checkpoint_stands_for_its_run(run) -> None:
    checkpoint = run / "checkpoints" / "inner" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert write_report(checkpoint) == run / "report.html"


def test_a_folder_that_a_trainer_of_ones_own_wrote_into_will_do(tmp_path) -> None:
    folder = tmp_path / "logs" / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    write_metrics(folder, metric_rows())
    picture(tmp_path / "logs" / "gradcam" / "0.png")
    assert "<figcaption>loss" in text_of(write_report(tmp_path / "logs"))


@pytest.mark.parametrize(("path", "told"), [("nowhere", "there is no such"), (".", "no files of a training")])
def test_what_is_no_run_is_refused(tmp_path, path, told) -> None:
    with pytest.raises(CheckpointError, match=told):
        write_report(tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_page_is_refused(run, tmp_path) -> None:
    with pytest.raises(CuelightError, match="this is a folder"):
        write_report(run, tmp_path)


def test_a_page_that_cannot_be_written_is_told_and_the_old_one_stays(run, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CuelightError, match="cannot be written"):
        write_report(run, tmp_path / "file" / "page.html")


def test_curves_that_are_not_drawn_are_counted(run) -> None:
    write_metrics(run, [*metric_rows(), {"step": 1} | {f"count {index}": 1.0 for index in range(2000)}])
    text = text_of(write_report(run))
    assert "Only 400 of 2006 curves are drawn" in text
    assert "<figcaption>loss" in text


def test_a_pipe_in_place_of_a_picture_is_refused(run) -> None:
    os.mkfifo(run / "test" / "predictions.png")
    with pytest.raises(CheckpointError, match=r"predictions\.png: this is a pipe or a device"):
        write_report(run)


@pytest.mark.parametrize("matrix", [[[1, 2], [3]], [[1, 2], [3, 4]], [[1, 2, 3]] * 4])
def test_a_confusion_matrix_that_does_not_fit_its_classes_is_named(run, matrix) -> None:
    path = run / "test" / "results.json"
    results = json.loads(path.read_text())
    results["test"]["confusion_matrix"] = matrix
    path.write_text(json.dumps(results))
    text = text_of(write_report(run))
    assert text.count("Not shown:") == 1
    assert "<h2>Files</h2>" in text
