"""metrics.csv goes on after a resume."""

import csv
import resource
import signal

import pytest

from cuelight.tracking.loggers.resumable_csv import ResumableCSVLogger


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(logger, *entries):
    for step, metrics in entries:
        logger.log_metrics(metrics, step)
        logger.save()


def test_rows_from_the_step_of_the_checkpoint_on_are_logged_again(tmp_path) -> None:
    log(ResumableCSVLogger(tmp_path), (0, {"a": 1.0}), (1, {"a": 2.0}), (2, {"a": 3.0}))
    log(ResumableCSVLogger(tmp_path, 2), (2, {"a": 30.0}), (3, {"a": 40.0}))
    assert [(row["step"], row["a"]) for row in rows(tmp_path)] == [
        ("0", "1.0"), ("1", "2.0"), ("2", "30.0"), ("3", "40.0"),
    ]  # fmt: skip


def test_new_metric_gets_a_column_and_old_rows_stay(tmp_path) -> None:
    log(ResumableCSVLogger(tmp_path), (0, {"a": 1.0}))
    log(ResumableCSVLogger(tmp_path, 1), (1, {"b": 2.0}))
    assert [(row["step"], row["a"], row["b"]) for row in rows(tmp_path)] == [("0", "1.0", ""), ("1", "", "2.0")]


def test_old_metric_may_never_come_again(tmp_path) -> None:
    log(ResumableCSVLogger(tmp_path), (0, {"a": 1.0, "b": 2.0}))
    log(ResumableCSVLogger(tmp_path, 1), (1, {"a": 3.0}))
    assert [(row["a"], row["b"]) for row in rows(tmp_path)] == [("1.0", "2.0"), ("3.0", "")]


def test_nothing_is_lost_if_the_resumed_run_logs_nothing(tmp_path) -> None:
    log(ResumableCSVLogger(tmp_path), (0, {"a": 1.0}))
    before = (tmp_path / "metrics.csv").read_text()
    ResumableCSVLogger(tmp_path, 1)
    assert (tmp_path / "metrics.csv").read_text() == before


@pytest.mark.parametrize("cut", range(1, 8))
def test_last_line_may_be_cut(tmp_path, cut) -> None:
    log(ResumableCSVLogger(tmp_path), (0, {"a": 0.25}), (1, {"a": 0.5}), (2, {"a": 0.75}))
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    log(ResumableCSVLogger(tmp_path, 2), (2, {"a": 0.75}))
    assert [(row["step"], row["a"]) for row in rows(tmp_path)][-2:] == [("1", "0.5"), ("2", "0.75")]
    assert rows(tmp_path)[0]["a"] == "0.25"


@pytest.mark.parametrize("resumed_from", [0, 2, 3, None])
def test_results_of_tests_stay(tmp_path, resumed_from) -> None:
    log(ResumableCSVLogger(tmp_path), (2, {"a": 1.0}), (3, {"test/a": 2.0}), (3, {"best/val/a": 3.0}))
    log(ResumableCSVLogger(tmp_path, resumed_from), (4, {"a": 4.0}))
    kept = [(row["step"], row["test/a"], row["best/val/a"]) for row in rows(tmp_path)]
    assert kept[-3:] == [("3", "2.0", ""), ("3", "", "3.0"), ("4", "", "")]


def test_rows_survive_a_full_disk_while_a_column_is_added(tmp_path) -> None:
    logger = ResumableCSVLogger(tmp_path)
    log(logger, (0, {"a": 1.0}))
    before = (tmp_path / "metrics.csv").read_text()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log(logger, (1, {"b": 2.0}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    assert (tmp_path / "metrics.csv").read_text() == before


def test_damaged_text_and_long_fields_lose_no_other_row(tmp_path) -> None:
    log(ResumableCSVLogger(tmp_path), (0, {"a": 1.0}), (1, {"a": 2.0}))
    path = tmp_path / "metrics.csv"
    header, first, second = path.read_bytes().splitlines(keepends=True)
    long = b"9" * 200_000
    path.write_bytes(header + first.replace(b"1.0", b"\xff") + second.replace(b"2.0", long))
    log(ResumableCSVLogger(tmp_path, 2), (2, {"a": 3.0}))
    assert [row["step"] for row in rows_of_any_length(tmp_path)] == ["0", "1", "2"]


def rows_of_any_length(folder):
    limit = csv.field_size_limit(10**6)
    try:
        return rows(folder)
    finally:
        csv.field_size_limit(limit)
