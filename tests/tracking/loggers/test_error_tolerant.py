"""A logger that fails ends no training."""

import pickle

from lightning.pytorch.loggers import CSVLogger

from cuelight.tracking.loggers.error_tolerant import error_tolerant


class FullDisk(CSVLogger):
    def save(self):
        raise OSError("no space left")


def test_error_is_said_once_and_the_rest_goes_on(tmp_path, caplog) -> None:
    logger = error_tolerant(FullDisk(tmp_path))
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step)
        logger.save()
    logger.finalize("success")
    assert caplog.messages == ["FullDisk failed: OSError: no space left."]
    assert len(logger.experiment.metrics) == 3


def test_password_in_an_error_is_not_logged(tmp_path, caplog) -> None:
    class Unreachable(CSVLogger):
        def save(self):
            raise ConnectionError("no answer from https://ada:hunter2xyz@example.org")

    error_tolerant(Unreachable(tmp_path)).save()
    assert "no answer from https://REDACTED@example.org" in caplog.text


def test_one_that_works_is_as_it_was(tmp_path) -> None:
    logger = error_tolerant(CSVLogger(tmp_path, name="", version=""))
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    assert (tmp_path / "metrics.csv").read_text() == "loss,step\n1.0,0\n"


def test_it_can_be_sent_to_another_process(tmp_path, caplog) -> None:
    there = pickle.loads(pickle.dumps(error_tolerant(FullDisk(tmp_path))))
    there.log_metrics({"loss": 1.0}, 0)
    there.save()
    assert len(there.experiment.metrics) == 1
    assert len(caplog.messages) == 1
