"""The files of a training in a Trainer of one's own are beside its checkpoints, in a folder of each run."""

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from cuelight.callbacks import GradCamCallback, LastCheckpoint, MetadataLogger, TestOnTrainEnd
from cuelight.report import write_report
from cuelight.utils.trainer_callbacks import directory_of
from support.digit_training import DigitData, DigitModel
from support.ranks import on_ranks
from support.trainers import fit, quiet_trainer


class ModelWithTest(DigitModel):
    def test_step(self, batch, batch_idx):
        self.log("test/loss", self(batch[0]).square().mean())


class DataWithTest(DigitData):
    test_dataloader = DigitData.val_dataloader


def trained(folder, **options):
    callbacks = [
        GradCamCallback("auto"),
        MetadataLogger(),
        ModelCheckpoint(monitor="val/loss"),
        TestOnTrainEnd(),
        LastCheckpoint(),
    ]
    fit(folder, callbacks, ModelWithTest, DataWithTest(), max_epochs=1, **options)


def files_of(folder):
    names = ["checkpoints/last.ckpt", "metadata.yaml", "outcomes.json", "test/results.json"]
    assert [name for name in names if not (folder / name).is_file()] == []
    assert list((folder / "gradcam").glob("*.jpg"))
    return {name: (folder / name).read_bytes() for name in names}


def test_second_run_leaves_the_first_alone(tmp_path) -> None:
    trained(tmp_path, logger=True)
    first = files_of(tmp_path / "lightning_logs" / "version_0")
    trained(tmp_path, logger=True)
    files_of(tmp_path / "lightning_logs" / "version_1")
    assert files_of(tmp_path / "lightning_logs" / "version_0") == first
    assert [path.name for path in tmp_path.iterdir()] == ["lightning_logs"]


def test_report_of_such_a_run_shows_no_command_that_fails_and_no_placeholder(tmp_path) -> None:
    trained(tmp_path, logger=True)
    folder = tmp_path / "lightning_logs" / "version_0"
    (folder / "outcomes.json").write_text((folder / "outcomes.json").read_text().replace('"ok"', '"failed"'))
    (folder / "test" / "results.json").unlink()
    text = write_report(folder).read_text()
    assert "TestOnTrainEnd failed after the training" in text
    assert "There are no test results." in text
    for command in ("finish", "test", "predict", "verify", "upload", "train --resume"):
        assert f"cuelight {command}" not in text
    assert "hp_metric" not in text.replace("hparams", "")


@pytest.mark.parametrize(
    ("logger", "folder"),
    [
        (False, "."),
        (lambda folder: CSVLogger(folder, name="a", version="b"), "a/b"),
        (lambda folder: TensorBoardLogger(folder, name="a", version=3), "a/version_3"),
        (lambda folder: WandbLogger(save_dir=folder, project="p", id="abc", mode="offline"), "p/abc"),
        (lambda folder: TensorBoardLogger("memory://logs"), "."),
    ],
)
def test_folder_of_a_logger(tmp_path, logger, folder) -> None:
    trainer = quiet_trainer(tmp_path, logger=logger(tmp_path) if callable(logger) else logger)
    assert directory_of(trainer) == tmp_path / folder


def test_folder_of_mlflow_is_that_of_its_run(tmp_path) -> None:
    logger = MLFlowLogger("exp", tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert directory_of(quiet_trainer(tmp_path, logger=logger)) == tmp_path / logger.experiment_id / logger.run_id


def fit_on_two_ranks(folder):
    options = {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    trained(Path(folder), logger=CSVLogger(folder), **options)


def test_all_ranks_ask_together(tmp_path) -> None:
    on_ranks(fit_on_two_ranks, str(tmp_path))
    files_of(tmp_path / "lightning_logs" / "version_0")
