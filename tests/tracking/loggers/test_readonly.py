"""What a module draws while it is measured arrives; nothing else does, and nothing is closed."""

import threading

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cuelight.tracking.loggers.readonly import open_loggers, readonly


def test_pictures_and_curves_are_in_one_file(tmp_path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="", purge_step=0)
    logger.log_metrics({"train/loss": 1.0}, step=0)
    with readonly([logger]):
        logger.experiment.add_scalar("drawn", 2.0, 1)
        logger.log_metrics({"lost": 3.0}, step=1)
        logger.log_hyperparams({"lost": 3.0})
        logger.finalize("success")
    logger.log_metrics({"train/loss": 0.5}, step=2)
    logger.finalize("success")
    assert len(list(tmp_path.glob("events*"))) == 1
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {tag: len(events.Scalars(tag)) for tag in events.Tags()["scalars"]} == {"train/loss": 2, "drawn": 1}


def test_metrics_for_a_csv_logger_are_dropped(tmp_path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    with readonly([logger]):
        logger.log_metrics({"lost": 1.0}, step=0)
        logger.save()
    logger.log_metrics({"kept": 1.0}, step=0)
    logger.save()
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == "kept,step"


def test_tracker_that_is_down_or_hangs_is_left_out(tmp_path, caplog) -> None:
    answer = threading.Event()

    class Down(CSVLogger):
        @property
        def experiment(self):
            raise ConnectionError("nobody there.")

    class Hanging(CSVLogger):
        @property
        def experiment(self):
            answer.wait()

    loggers = [Down(tmp_path), Hanging(tmp_path), CSVLogger(tmp_path)]
    [found] = open_loggers(loggers, limit=0.05)
    answer.set()
    assert type(found) is CSVLogger
    assert [message.partition(" cannot")[0] for message in caplog.messages] == ["Down", "Hanging"]
    assert caplog.messages[0] == (
        "Down cannot be used: ConnectionError: nobody there. The evaluation continues without it."
    )
