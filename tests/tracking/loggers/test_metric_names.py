"""Every name that Cuelight logs, and stranger ones, as MLflow takes them."""

import pytest

from cuelight.tracking.loggers.metric_names import MetricNames, mlflow_name

HARD = [
    "device_id: 0/utilization.gpu (%)", "device_id: 0/temperature.gpu (°C)", "loss[a]", "loss{a}", "größe", "a//b",
    "/a", "a/../b", "../a", ".", "..", "", "a/", "x" * 300, "x" * 300 + "y", "a\nb", "日本",
]  # fmt: skip


@pytest.mark.parametrize("name", ["val/loss", "train/loss_step", "epoch", "lr-Adam/pg1", "a b.c"])
def test_name_that_mlflow_takes_stays(name) -> None:
    assert mlflow_name(name) == name


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("device_id: 0/utilization.gpu (%)", "device_id 0/utilization.gpu percent"),
        ("device_id: 0/memory.used (MB)", "device_id 0/memory.used MB"),
        ("device_id: 0/temperature.gpu (°C)", "device_id 0/temperature.gpu degC"),
        ("batch_time/inter_step (ms)", "batch_time/inter_step ms"),
    ],
)
def test_units_can_be_read(name, taken) -> None:
    assert mlflow_name(name) == taken


@pytest.mark.parametrize("name", HARD, ids=repr)
def test_mlflow_takes_it(name) -> None:
    from mlflow.utils.validation import _validate_metric_name

    taken = mlflow_name(name)
    _validate_metric_name(taken)
    assert ":" not in taken  # which servers on Windows refuse
    assert 0 < len(taken) <= 250


def test_no_two_are_the_same() -> None:
    assert len({mlflow_name(name) for name in HARD}) == len(HARD)


def test_two_names_of_a_run_never_become_one(caplog) -> None:
    names = MetricNames()
    first, second = names.taken("load (%)"), names.taken("load percent")
    assert first == "load percent"
    assert second.startswith("load percent-")
    assert [names.taken("load (%)"), names.taken("load percent")] == [first, second]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("first", [["load (%)", "load percent"], ["load percent", "load (%)"], ["load (%)"]])
def test_order_after_a_resume_changes_no_name(first) -> None:
    before = MetricNames()
    taken = [before.taken(name) for name in first]
    resumed = MetricNames(before.owners)
    other = resumed.taken("load percent"), resumed.taken("load (%)")
    assert len(set(other)) == 2
    assert [resumed.taken(name) for name in first] == taken


def test_names_that_stay_need_not_be_kept() -> None:
    names = MetricNames()
    names.taken("val/loss")
    assert names.owners == {}
