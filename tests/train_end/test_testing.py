"""What is sent of a measurement."""

from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cuelight.evaluation.results import Measurement, write_results
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.testing import send_measurement


def sent(folder, view, **measured):
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    training = FinishedTraining(folder, make_module=None, kept=list, name="tiny", loggers=[logger], step=7)
    measurement = Measurement(Path("best.ckpt"), "f" * 64, view, **measured)
    write_results(folder, measurement)
    send_measurement(training, measurement)
    logger.finalize("success")
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def test_confusion_matrix_is_a_table_and_a_picture(tmp_path) -> None:
    confusion = np.array([[5, 1], [0, 4]])
    events = sent(tmp_path, "test", metrics={"test/loss": 0.5}, confusion=confusion, class_names=("ant", "bee"))
    assert [(point.step, point.value) for point in events.Scalars("test/loss")] == [(7, 0.5)]
    [picture] = events.Images("test/confusion_matrix")
    assert picture.step == 7
    [table] = events.Tensors("test/confusion_matrix/text_summary")
    assert table.tensor_proto.string_val[0].decode().splitlines() == [
        "| true class | ant | bee |", "| --- | --- | --- |", "| ant | 5 | 1 |", "| bee | 0 | 4 |",
    ]  # fmt: skip


def test_a_task_has_tables_and_a_picture_of_predictions(tmp_path) -> None:
    tables = {"class_iou": [["class", "IoU"], ["background", 0.818], ["bee", None]]}
    events = sent(tmp_path, "val", tables=tables, pictures={"predictions": Image.new("RGB", (8, 6), "red")})
    [table] = events.Tensors("val/class_iou/text_summary")
    lines = table.tensor_proto.string_val[0].decode().splitlines()
    assert lines[0] == "| class | IoU |"
    assert lines[2].startswith("| background | 0.818")
    [picture] = events.Images("val/predictions")
    assert (picture.width, picture.height) == (8, 6)
    assert (tmp_path / "test" / "predictions_val.png").is_file()


@pytest.mark.parametrize("view", ["val", "train"])
def test_other_views_leave_the_curves_of_the_training_alone(tmp_path, view) -> None:
    events = sent(tmp_path, view, metrics={f"{view}/loss": 0.5})
    assert events.Tags()["scalars"] == [f"best/{view}/loss"]
    assert events.Tags()["images"] == []
