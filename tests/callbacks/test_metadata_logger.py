"""The record of a run: where it is written, what a resume makes of it, and what never gets into it."""

import sys
from importlib.metadata import version
from typing import ClassVar

import lightning.pytorch as pl
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from cuelight import Run
from cuelight.callbacks import metadata_logger
from cuelight.callbacks.metadata_logger import CHECKPOINT_KEY, MetadataLogger
from cuelight.errors import ConfigError
from cuelight.provenance import packages, record, record_files
from cuelight.provenance.packages import installed_versions
from cuelight.provenance.repository import Repository
from cuelight.utils.redaction import REDACTED
from support.averages import EvenData, EvenModel
from support.experiments import experiment, own_parts, write_digits
from support.ranks import on_ranks
from support.tiny import TinyData, TinyModel
from support.trainers import fit, quiet_trainer

SECRET = "hunter2xyz"
COMMIT = "2b8ff1c0a1d24e0f9a6fd0b6a4e0f5c1d2e3f4a5"


class Data(TinyData):
    """Data that tells whether it is the same."""

    text = "sha256:abc"

    def fingerprint(self):
        return self.text


@pytest.fixture
def repository(monkeypatch):
    """What git says, to be changed by a test."""
    state = {"commit": COMMIT, "branch": "main", "remote": None, "diff": b""}
    monkeypatch.setattr(record, "read_repository", lambda folder: Repository(**state))
    monkeypatch.setattr(packages, "tracks", lambda file: False)
    return state


def train(directory, callback, epochs=1, resume=None, hparams=None, data=Data, **options):
    model = TinyModel()
    model.save_hyperparameters(hparams or {})
    limits = {"limit_train_batches": 1, "limit_val_batches": 1}
    trainer, _ = fit(directory, [callback], model, data, resume, max_epochs=epochs, **limits, **options)
    if resume is None and not options.get("fast_dev_run"):
        trainer.save_checkpoint(directory / "last.ckpt")
    return trainer


def metadata(directory):
    return yaml.safe_load((directory / "metadata.yaml").read_text())


def test_record_in_the_file_the_checkpoint_and_the_trackers(tmp_path, repository) -> None:
    pl.seed_everything(3, verbose=False)
    hparams = {"lr": 0.1, "net": {"width": 8}, "other": 1}
    train(tmp_path, MetadataLogger(["lr", "net"]), hparams=hparams, logger=CSVLogger(tmp_path, name="", version=""))
    found = metadata(tmp_path)
    assert list(found) == ["run", "hyperparameters", "git", "data", "machine", "packages"]
    assert found["run"]["seed"] == 3
    assert found["hyperparameters"] == {"lr": 0.1, "net.width": 8}
    assert found["git"]["repository"]["commit"] == COMMIT
    assert found["data"] == {"name": "Data", "fingerprint": "sha256:abc"}
    assert found["packages"]["torch"] == version("torch")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)[CHECKPOINT_KEY] == found
    logged = yaml.safe_load((tmp_path / "hparams.yaml").read_text())
    assert logged["lr"] == 0.1
    assert logged["net.width"] == 8
    assert logged["metadata"]["git"] == found["git"]


def test_git_hashes_of_cuelight_and_luxonis_ml(tmp_path) -> None:
    train(tmp_path, MetadataLogger())
    found = metadata(tmp_path)["git"]
    assert len(found["cuelight"].get("commit", "")) == 40 or "no git hash" in found["cuelight"]["origin"]
    assert found["luxonis-ml"]["origin"]


def test_data_that_does_not_tell(tmp_path, repository) -> None:
    train(tmp_path, MetadataLogger(), data=TinyData)
    expected = {"name": "TinyData", "fingerprint": "not known: the data has no method fingerprint()"}
    assert metadata(tmp_path)["data"] == expected


class RepeatingData(Data):
    images_also_in_train: ClassVar = {"val": 3, "test": 12}


def test_images_that_are_also_in_train_are_said_and_recorded(tmp_path, repository, caplog) -> None:
    train(tmp_path, MetadataLogger(), data=RepeatingData)
    (line,) = [message for message in caplog.messages if "training split" in message]
    assert line.startswith("RepeatingData: 3 images of val and 12 images of test are also in the training split")
    assert metadata(tmp_path)["data"]["images_also_in_train"] == {"val": 3, "test": 12}


def test_password_in_an_error_is_not_logged(tmp_path, monkeypatch, caplog) -> None:
    def failing(*_):
        raise ValueError("no answer from https://ada:hunter2xyz@example.org")

    monkeypatch.setattr("cuelight.callbacks.metadata_logger.collect", failing)
    train(tmp_path, MetadataLogger())
    assert "cannot collect the metadata: ValueError: no answer from https://REDACTED@example.org" in caplog.text


def test_resume_keeps_the_record_and_adds_what_changed(tmp_path, repository, monkeypatch) -> None:
    train(tmp_path, MetadataLogger())
    first = metadata(tmp_path)
    repository["commit"] = "b" * 40
    monkeypatch.setattr(Data, "text", "sha256:other")
    train(tmp_path, MetadataLogger(), epochs=2, resume=tmp_path / "last.ckpt")
    found = metadata(tmp_path)
    (entry,) = found.pop("resumed")
    assert found == first
    assert entry["step"] == 1
    assert entry["changed"] == {"git.repository.commit": "b" * 40, "data.fingerprint": "sha256:other"}


def test_resume_from_an_older_checkpoint_forgets_no_earlier_resume(tmp_path, repository) -> None:
    train(tmp_path, MetadataLogger())
    for epochs in (2, 3):
        train(tmp_path, MetadataLogger(), epochs=epochs, resume=tmp_path / "last.ckpt")
    assert len(metadata(tmp_path)["resumed"]) == 2


def test_new_training_in_the_same_folder_is_a_new_record(tmp_path, repository) -> None:
    train(tmp_path, MetadataLogger())
    repository["commit"] = "b" * 40
    train(tmp_path, MetadataLogger())
    assert metadata(tmp_path)["git"]["repository"]["commit"] == "b" * 40
    assert "resumed" not in metadata(tmp_path)


def test_resume_where_the_file_is_gone(tmp_path, repository) -> None:
    train(tmp_path, MetadataLogger())
    (tmp_path / "metadata.yaml").unlink()
    train(tmp_path, MetadataLogger(), epochs=2, resume=tmp_path / "last.ckpt")
    assert len(metadata(tmp_path)["resumed"]) == 1


@pytest.mark.parametrize("text", ["run: [", "run: 3\n", "name: book\n", "", "run: {started: 3}\nresumed: [3]\n"])
@pytest.mark.parametrize("resumes", [False, True])
def test_file_that_is_no_record_stays_as_it_is(tmp_path, repository, caplog, text, resumes) -> None:
    repository["diff"] = b"+x = 2\n"
    checkpoint = tmp_path / "last.ckpt"
    train(tmp_path / "elsewhere", MetadataLogger())
    (tmp_path / "metadata.yaml").write_text(text)
    resumed = {"epochs": 2, "resume": tmp_path / "elsewhere" / "last.ckpt"} if resumes else {}
    trainer = train(tmp_path, MetadataLogger(save_diff=True), **resumed)
    trainer.save_checkpoint(checkpoint)
    assert (tmp_path / "metadata.yaml").read_text() == text
    assert not (tmp_path / "diff.patch").exists()
    assert "metadata.yaml is not the record of a run and was not changed" in caplog.text
    saved = torch.load(checkpoint, weights_only=True)[CHECKPOINT_KEY]
    assert saved["git"]["repository"]["commit"] == COMMIT
    assert len(saved.get("resumed", [])) == resumes


def test_hyperparameters_that_nobody_asked_for_are_not_read(tmp_path, repository, monkeypatch) -> None:
    monkeypatch.setattr(metadata_logger, "as_plain", lambda value: pytest.fail("read"))
    train(tmp_path, MetadataLogger(), hparams={"lr": 0.1})


def test_key_that_does_not_exist_ends_before_the_training(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r'got "rate".*no key "rate"'):
        train(tmp_path, MetadataLogger(["rate"]), hparams={"lr": 0.1})
    assert not (tmp_path / "metadata.yaml").exists()


def test_module_without_hparams_is_told_how_to_have_some(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"no hparams: call save_hyperparameters\(\)"):
        train(tmp_path, MetadataLogger(["rate"]))


def test_key_that_does_not_exist_is_named_with_its_line(tmp_path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "model: {name: ClassificationModel}\ndata: {name: Digits}\ntrainer:\n  callbacks:\n    - name: MetadataLogger\n"
        "      params:\n        hyperparams:\n          - trainer.epochs\n          - trainer.epoch\n"
    )
    with pytest.raises(ConfigError) as caught:
        Run.from_yaml(file)
    (problem,) = caught.value.problems
    assert problem.where == f"{file}:9"
    assert problem.path == "trainer.callbacks.0.params.hyperparams.1"
    assert 'Did you mean "epochs"?' in problem.message


def test_diff_is_saved_if_asked_for(tmp_path, repository) -> None:
    repository["diff"] = b"+x = 2\n"
    train(tmp_path, MetadataLogger())
    assert not (tmp_path / "diff.patch").exists()
    train(tmp_path, MetadataLogger(save_diff=True))
    assert (tmp_path / "diff.patch").read_bytes() == b"+x = 2\n"


@pytest.mark.parametrize(("diff", "written"), [(b"+x = 2\n", False), (b"+x = 3\n", True)])
def test_diff_of_a_resume_is_saved_if_it_is_another(tmp_path, repository, diff, written) -> None:
    repository["diff"] = b"+x = 2\n"
    train(tmp_path, MetadataLogger(save_diff=True))
    repository["diff"] = diff
    train(tmp_path, MetadataLogger(save_diff=True), epochs=2, resume=tmp_path / "last.ckpt")
    assert (tmp_path / "diff.patch").read_bytes() == b"+x = 2\n"
    assert (tmp_path / "diff-resumed-1.patch").exists() == written


def test_new_record_takes_the_differences_of_the_old_one_away(tmp_path, repository) -> None:
    repository["diff"] = b"+x = 2\n"
    train(tmp_path, MetadataLogger(save_diff=True))
    repository["diff"] = b"+x = 3\n"
    train(tmp_path, MetadataLogger(save_diff=True), epochs=2, resume=tmp_path / "last.ckpt")
    assert len(list(tmp_path.glob("*.patch"))) == 2
    (tmp_path / "diff-of-my-own.patch").touch()
    repository["diff"] = b""
    train(tmp_path, MetadataLogger(save_diff=True))
    assert [file.name for file in tmp_path.glob("*.patch")] == ["diff-of-my-own.patch"]


@pytest.mark.parametrize("diff", [b"", b"+x = 2\n"])
def test_patch_of_another_origin_stays_as_it_is(tmp_path, repository, caplog, diff) -> None:
    repository["diff"] = b"+x = 1\n"
    train(tmp_path, MetadataLogger())
    (tmp_path / "diff.patch").write_text("of my own")
    repository["diff"] = diff
    train(tmp_path, MetadataLogger(save_diff=True))
    assert (tmp_path / "diff.patch").read_text() == "of my own"
    assert ("is not from this run" in caplog.text) == bool(diff)


def loggers(*folders):
    return [TensorBoardLogger(folder, name="", version="") for folder in folders]


def test_large_diff_is_neither_searched_nor_sent(tmp_path, repository, caplog, monkeypatch) -> None:
    repository["diff"] = b"+1,2,3,4\n" * 600_000
    searched = []
    monkeypatch.setattr(record_files, "redacted_text", lambda text: searched.append(text) or text)
    elsewhere = tmp_path / "elsewhere"
    train(tmp_path / "run", MetadataLogger(save_diff=True), logger=loggers(tmp_path / "run", elsewhere))
    assert (tmp_path / "run" / "diff.patch").read_bytes() == repository["diff"]
    assert not searched
    assert not list(elsewhere.rglob("*.patch"))
    assert "has 5 MB. It is saved, but neither searched for secrets nor sent" in caplog.text


@pytest.mark.parametrize(("diff", "files"), [(b"+x = 2\n", ["diff.patch"]), (b"+password = 'hunter2'\n", [])])
def test_diff_with_a_secret_stays_here(tmp_path, repository, caplog, diff, files) -> None:
    repository["diff"] = diff
    elsewhere = tmp_path / "elsewhere"
    train(tmp_path / "run", MetadataLogger(save_diff=True), logger=loggers(tmp_path / "run", elsewhere))
    assert (tmp_path / "run" / "diff.patch").read_bytes() == diff
    assert [path.name for path in elsewhere.rglob("*.patch")] == files
    assert [path.name for path in elsewhere.rglob("metadata.yaml")] == ["metadata.yaml"]
    assert ("seems to contain a secret" in caplog.text) == (not files)


def test_folder_that_cannot_be_written_does_not_end_the_training(tmp_path, repository, caplog, monkeypatch) -> None:
    (tmp_path / "metadata.yaml").mkdir()
    trainer = train(tmp_path, MetadataLogger())
    assert trainer.global_step == 1
    assert "cannot write to" in caplog.text
    assert CHECKPOINT_KEY in torch.load(tmp_path / "last.ckpt", weights_only=True)


def test_fast_dev_run_writes_nothing(tmp_path, repository) -> None:
    train(tmp_path, MetadataLogger(), fast_dev_run=True)
    assert not (tmp_path / "metadata.yaml").exists()


def test_no_secret_gets_anywhere(tmp_path, repository, monkeypatch) -> None:
    """In one run, all the places from which one could come."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setattr(sys, "argv", ["/home/ada/train.py", "--token", SECRET, f"--url=https://ada:{SECRET}@h"])
    url = f"https://ada:{SECRET}@example.org"
    repository.update(branch=f"try/{url}/x", remote=f"{url}/project.git", diff=f"+password = '{SECRET}'\n".encode())
    record_of_installation = f'{{"url": "{url}/x.git", "vcs_info": {{"vcs": "git", "commit_id": "{COMMIT}"}}}}'
    monkeypatch.setattr(packages, "_direct_url", lambda name: yaml.safe_load(record_of_installation))
    monkeypatch.setattr(record, "installed_versions", lambda: installed_versions() | {"x": "1"})
    monkeypatch.setattr(record, "describe_machine", lambda: (_ for _ in ()).throw(OSError(f"no {url}")))
    monkeypatch.setattr(Data, "text", f"see {url}?sig={SECRET}")
    hparams = {
        "password": SECRET, "wandb": {"api_key": SECRET}, "auth": {"name": SECRET},
        "headers": [["x", f"Bearer {SECRET}"]],
        "tracker": {"mlflow": {"tracking_uri": f"{url}:5000"}}, "data": {"path": f"s3://b/a?X-Amz-Signature={SECRET}"},
        "azure": f"AccountName=a;AccountKey={SECRET}==", "env": [{"name": "DB_PASSWORD", "value": SECRET}],
        "nested": [[{"deep": [{"hf_token": SECRET}]}]], "tokens": {"access_token": [SECRET]},
        "pin": {"secret": 12345678},
        "note": f"export API_KEY={SECRET}", "keyed": {url: 1},
    }  # fmt: skip
    trackers = [CSVLogger(tmp_path, name="", version=""), TensorBoardLogger(tmp_path / "board", name="", version="")]
    train(tmp_path, MetadataLogger(list(hparams)), hparams=hparams, logger=trackers)
    written = (tmp_path / "metadata.yaml").read_text()
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)[CHECKPOINT_KEY]
    sent = [repr(yaml.safe_load(path.read_text())["metadata"]) for path in tmp_path.rglob("hparams.yaml")]
    assert sent
    for text in (written, repr(saved), *sent):
        assert SECRET not in text
        assert "12345678" not in text
        assert REDACTED in text


def test_only_the_first_rank_writes(tmp_path, repository, monkeypatch) -> None:
    monkeypatch.setattr(pl.Trainer, "is_global_zero", property(lambda trainer: False))
    train(tmp_path, MetadataLogger())
    assert not (tmp_path / "metadata.yaml").exists()


def fit_on_a_rank(folder):
    """A training, and its resume, in a folder of this rank alone."""
    own = folder / f"rank-{torch.distributed.get_rank()}"
    own.mkdir()
    steps = []
    for epochs, resume in ((1, None), (2, folder / "last.ckpt")):
        model = EvenModel()
        model.save_hyperparameters({"lr": 0.1})
        trainer = quiet_trainer(own, [MetadataLogger(["lr"])], max_epochs=epochs, devices=2, strategy="ddp")
        trainer.fit(model, datamodule=EvenData(), ckpt_path=resume, weights_only=True)
        if resume is None:
            trainer.save_checkpoint(folder / "last.ckpt")
        steps.append(trainer.global_step)
    return steps


@pytest.mark.slow
def test_one_of_two_ranks_writes_and_both_go_on(tmp_path) -> None:
    assert on_ranks(fit_on_a_rank, tmp_path) == [[5, 10], [5, 10]]
    assert [path.parent.name for path in tmp_path.rglob("metadata.yaml")] == ["rank-0"]
    found = metadata(tmp_path / "rank-0")
    assert found["hyperparameters"] == {"lr": 0.1}
    assert [entry["step"] for entry in found.pop("resumed")] == [5]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)[CHECKPOINT_KEY] == found


def test_run_of_cuelight_and_its_resume(tmp_path) -> None:
    own_parts()
    entry = {"name": "MetadataLogger", "params": {"hyperparams": ["trainer.epochs", "model"]}}
    tree = experiment(write_digits(tmp_path / "digits.npz"), epochs=1, callbacks=[entry])
    directory = Run.from_yaml(tree).train(tmp_path / "runs").directory
    found = metadata(directory)
    assert found["run"]["seed"] == 3
    defaults = {"brings": None, "dropout": 0.3, "wide": 8}
    named = {"trainer.epochs": 1, "model.name": "TinyNet", "model.freeze": [], "model.init_from": None}
    assert found["hyperparameters"] == named | {f"model.params.{name}": value for name, value in defaults.items()}
    assert found["data"]["fingerprint"].startswith("sha256:")
    Run.load(directory, ["trainer.epochs=2"]).resume()
    (resumed,) = metadata(directory)["resumed"]
    assert resumed["step"] == 5
    assert resumed["changed"]["hyperparameters.trainer.epochs"] == 2


def test_lightning_logs_the_hyperparameters_of_the_module_first(tmp_path, repository) -> None:
    """MLflow would refuse those that it spells otherwise."""
    sent = []
    logger = CSVLogger(tmp_path)
    log_hyperparams = logger.log_hyperparams
    logger.log_hyperparams = lambda params: (sent.append(set(params)), log_hyperparams(params))
    model = TinyModel()
    model.save_hyperparameters({"flag": True})
    trainer = quiet_trainer(tmp_path, [MetadataLogger(["flag"])], max_epochs=1)
    trainer.logger = logger
    trainer.fit(model, datamodule=Data())
    assert ["metadata" in params for params in sent] == [False, True]
