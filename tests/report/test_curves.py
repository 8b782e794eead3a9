"""What was logged, read back from whatever is in the run directory."""

import math

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cuelight.errors import CuelightError
from cuelight.report.curves import read_curves
from support.run_files import metric_rows, write_metrics


def write_events(folder, rows):
    writer = EventFileWriter(str(folder))
    for row in rows:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name != "step"]
        writer.add_event(Event(step=row["step"], summary=Summary(value=values)))
    writer.close()


def test_every_value_keeps_its_step(tmp_path) -> None:
    write_metrics(tmp_path, metric_rows())
    curves = read_curves(tmp_path)
    assert curves.points["val/accuracy"] == [(9, 0.5), (19, 0.8), (29, 0.95), (39, 0.9)]
    assert curves.source == "metrics.csv"


def test_epochs_count_from_one_and_end_at_their_last_step(tmp_path) -> None:
    write_metrics(tmp_path, metric_rows())
    assert read_curves(tmp_path).epochs == {1: 9, 2: 19, 3: 29, 4: 39}


def test_values_that_are_not_finite_stay(tmp_path) -> None:
    rows = [{"step": 0, "a": 1.0}, {"step": 1, "a": math.nan}, {"step": 2, "a": math.inf}]
    write_metrics(tmp_path, rows)
    values = [value for _, value in read_curves(tmp_path).points["a"]]
    assert values[0] == 1.0
    assert math.isnan(values[1])
    assert values[2] == math.inf


def test_a_line_that_was_cut_is_left_out(tmp_path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,val/loss\n0,1,0.5\n0,2,0.4\n0")
    assert read_curves(tmp_path).points["val/loss"] == [(1, 0.5), (2, 0.4)]


def test_bytes_that_are_no_text_do_no_harm(tmp_path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"step,val/loss\n1,0.5\n\xff\xfe\x00,\x00\n2,0.4\n")
    assert read_curves(tmp_path).points["val/loss"] == [(1, 0.5), (2, 0.4)]


def test_event_files_tell_the_same(tmp_path) -> None:
    (tmp_path / "csv").mkdir()
    write_metrics(tmp_path / "csv", metric_rows())
    write_events(tmp_path / "events", metric_rows())
    table, events = read_curves(tmp_path / "csv"), read_curves(tmp_path / "events")
    assert events.epochs == table.epochs
    assert events.points.keys() == table.points.keys()
    for name, points in table.points.items():
        assert events.points[name] == [(step, pytest.approx(value)) for step, value in points]


def test_lightning_puts_its_files_into_folders_below(tmp_path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    write_metrics(folder, metric_rows())
    assert read_curves(tmp_path).source == "lightning_logs/version_0/metrics.csv"


def test_without_either_it_says_where_to_look(tmp_path) -> None:
    with pytest.raises(CuelightError, match="They may be in a tracker"):
        read_curves(tmp_path)
    with pytest.raises(CuelightError, match="They may be in mlflow"):
        read_curves(tmp_path, "mlflow")


def test_a_file_with_nothing_in_it_says_so(tmp_path) -> None:
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(CuelightError, match=r"metrics\.csv has no logged values yet"):
        read_curves(tmp_path)


def test_a_file_without_lines_is_refused_before_it_fills_the_memory(tmp_path) -> None:
    with (tmp_path / "metrics.csv").open("wb") as file:
        file.truncate(64 * 1024**2)
    with pytest.raises(CuelightError, match="a line has more than 16777216 characters"):
        read_curves(tmp_path)
