"""Which curves share a chart, and in which order the charts come."""

import pytest

from cuelight.report.curves import Curves
from cuelight.report.grouping import panels_of


def panels(*names, main_metric=""):
    return panels_of(Curves({name: [(0, 1.0)] for name in names}), main_metric)


def labels(panel):
    return [series.label for series in panel.series]


@pytest.mark.parametrize(
    ("names", "quantity", "expected"),
    [
        (["val/loss", "train/loss", "train/loss_step"], "loss", ["train, each step", "train", "val"]),
        (["train_loss_epoch", "val_loss", "test_loss"], "loss", ["train", "val", "test"]),
        (["val/f1/dataloader_idx_0", "val/f1/dataloader_idx_1"], "f1", ["val 0", "val 1"]),
        (["lr-AdamW", "lr-SGD"], "learning rate", ["AdamW", "SGD"]),
        (["lr-SGD-momentum"], "momentum", ["SGD"]),
        (
            ["device_id: 1/utilization.gpu (%)", "device_id: 0/utilization.gpu (%)"],
            "utilization.gpu (%)",
            ["GPU 0", "GPU 1"],
        ),
        (
            ["DeviceStatsMonitor.on_train_batch_start/cpu", "DeviceStatsMonitor.on_train_batch_end/cpu"],
            "cpu",
            ["end", "start"],
        ),
        (
            ["batch_time/intra_step (ms)", "batch_time/inter_step (ms)"],
            "batch time",
            ["inter_step (ms)", "intra_step (ms)"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_belongs_together_shares_a_chart(names, quantity, expected) -> None:
    (panel,) = panels(*names)
    assert panel.quantity == quantity
    assert labels(panel) == expected


def test_loss_and_main_metric_come_first() -> None:
    found = panels("val/a", "val/f1", "ema/decay", "batch_time/x", "lr-Adam", "val/loss", main_metric="val/f1")
    assert [panel.quantity for panel in found] == ["loss", "f1", "a", "learning rate", "batch time", "ema/decay"]


def test_a_stage_has_the_same_color_in_every_chart() -> None:
    loss, accuracy = panels("val/accuracy", "train/loss", "val/loss", main_metric="val/accuracy")
    assert loss.series[1].color == accuracy.series[0].color != loss.series[0].color


def test_curve_of_steps_is_faint_only_beside_another_curve() -> None:
    assert [series.faint for series in panels("train/loss_step")[0].series] == [False]
    assert [series.faint for series in panels("train/loss_step", "val/loss")[0].series] == [True, False]


def test_many_curves_are_cut_and_the_most_important_stay() -> None:
    drawn = panels("val/loss", "train/loss", *(f"lr-{index}" for index in range(300)), *map(str, range(50_000)))
    assert [panel.quantity for panel in drawn[:2]] == ["loss", "learning rate"]
    assert sum(len(panel.series) for panel in drawn) == 400


def test_many_curves_of_one_chart_are_cut() -> None:
    (panel,) = panels(*(f"lr-{index}" for index in range(50_000)))
    assert len(panel.series) == 400
