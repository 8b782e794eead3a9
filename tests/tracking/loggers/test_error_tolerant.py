"""A logger that fails ends no training."""

import pickle

from lightning.pytorch.loggers import CSVLogger

from cuelight.tracking.loggers.error_tolerant import error_tolerant
from cuelight.tracking.loggers.readonly import open_loggers
from cuelight.tracking.loggers.resumable_csv import ResumableCSVLogger
from cuelight.tracking.loggers.resumable_tensorboard import ResumableTensorBoardLogger
from support.trainers import fit


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


def test_folder_that_cannot_be_written_ends_neither_training_nor_evaluation(tmp_path, caplog, capfd) -> None:
    (tmp_path / "file").touch()
    kinds = ResumableTensorBoardLogger, ResumableCSVLogger
    loggers = [error_tolerant(kind(tmp_path / "file" / "run")) for kind in kinds]
    trainer, _ = fit(tmp_path, logger=loggers, log_every_n_steps=1)
    assert trainer.global_step == 10
    for kind in kinds:
        said = f"{kind.__name__} failed: {tmp_path / 'file' / 'run'} cannot be written: Not a directory."
        assert caplog.messages.count(said) == 1
    assert "Traceback" not in capfd.readouterr().err
    assert open_loggers(loggers) == []
