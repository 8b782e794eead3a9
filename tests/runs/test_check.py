"""Callbacks that cannot work together are refused before anything is read, with the place in the file."""

import importlib.util
import logging
from types import MappingProxyType

import pynvml
import pytest
from PIL import Image

from cuelight.callbacks import ExportOnTrainEnd, Timer
from cuelight.errors import ConfigError, DataError
from cuelight.runs.run import Run
from support.experiments import write_yaml
from support.nvml_library import GPU, no_nvml_library, nvml_library

CLASSIFICATION = {"name": "ClassificationModel", "params": {"backbone": "resnet10t"}}


def refuse(tmp_path, callbacks, trainer=None, **sections):
    tree = {"model": CLASSIFICATION, "data": {"name": "Digits"}} | sections
    tree["trainer"] = (trainer or {}) | {"callbacks": callbacks}
    with pytest.raises(ConfigError) as refused:
        Run.from_yaml(write_yaml(tmp_path / "bad.yaml", tree))
    return [str(problem).removeprefix(str(tmp_path)) for problem in refused.value.problems]


def warnings_of(callbacks, caplog, tracker=None):
    tree = {
        "model": CLASSIFICATION, "data": {"name": "Digits"}, "trainer": {"callbacks": callbacks}, "tracker": tracker,
    }  # fmt: skip
    with caplog.at_level(logging.WARNING):
        Run.from_yaml(tree).plan()
    return caplog.text


def test_all_that_cannot_work_is_in_one_report(tmp_path) -> None:
    problems = refuse(
        tmp_path,
        [
            {"name": "ModelCheckpoint", "params": {"monitor": "val_loss"}},
            {"name": "GradientAccumulationScheduler", "params": {"scheduling": {0: 2}}},
        ],
        {"accumulate_grad_batches": 2, "scheduler": {"name": "ReduceLROnPlateau", "monitor": "val/los"}},
    )
    assert len(problems) == 3
    assert 'does not log "val_loss". Did you mean "val/loss"?' in "".join(problems)
    assert 'does not log "val/los". Did you mean "val/loss"?' in "".join(problems)
    assert "trainer.accumulate_grad_batches: 2." in "".join(problems)
    assert all("bad.yaml:" in problem for problem in problems)


def test_heat_maps_are_of_the_task_of_the_model(tmp_path) -> None:
    callbacks = [
        {"name": "GradCamCallback", "params": {"target_layer": "auto", "task": task}}
        for task in ("classification", "segmentation", "detection")
    ]
    wrong, hopeless = refuse(tmp_path, callbacks)
    assert "trainer.callbacks.1.params.task: ClassificationModel is a classification model" in wrong
    assert 'has task: segmentation. Set "task: classification".' in wrong
    assert "trainer.callbacks.2.params.task" in hopeless


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (CLASSIFICATION, {"name": "DigitScenes"}, ["DigitScenes has a mask for each image", "Digits, ImageFolder,"]),
        ({"name": "SegmentationModel"}, {"name": "Digits"}, ["Digits has a class for each image", "MaskFolder"]),
    ],
)
def test_data_has_what_the_task_of_the_model_takes(tmp_path, model, data, said) -> None:
    (problem,) = refuse(tmp_path, [], model=model, data=data)
    assert "data.name: " in problem
    assert all(words in problem for words in said)


def test_monitors_that_log_need_a_tracker(tmp_path) -> None:
    off = {"tensorboard": False, "csv": False}
    monitors = ("LearningRateMonitor", "DeviceStatsMonitor", "GPUStatsMonitor")
    problems = refuse(tmp_path, [{"name": name} for name in monitors], tracker=off)
    nowhere = [problem for problem in problems if "needs a tracker, and all trackers are off" in problem]
    assert [monitor in problem for monitor, problem in zip(monitors, nowhere, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("tracker", "path"),
    [
        ({"mlflow": {"tracking_uri": "http://x"}}, "tracker.mlflow"),
        ({"wandb": True}, "tracker.wandb"),
        ({"tensorboard": {"dir": "logs"}}, "tracker.tensorboard.dir"),
    ],
)
def test_trackers_that_send_need_processes_of_their_own(tmp_path, tracker, path) -> None:
    [problem] = refuse(tmp_path, [], {"strategy": "ddp_spawn"}, tracker=tracker)
    assert f'{path}: this tracker does not work in the processes that the strategy "ddp_spawn" starts.' in problem


class TestMissingHardware:
    """A training is refused; a plan is not, and neither is what can be done with a run on another machine."""

    TREE = MappingProxyType(
        {
            "model": CLASSIFICATION,
            "data": {"name": "Digits"},
            "trainer": {"callbacks": [{"name": "Timer"}, {"name": "GPUStatsMonitor"}]},
        }
    )

    def refuse(self, tmp_path, *overrides):
        run = Run.from_yaml(write_yaml(tmp_path / "gpu.yaml", dict(self.TREE)), overrides)
        assert "GPUStatsMonitor" in [entry.name for entry in run.plan()]
        with pytest.raises(ConfigError) as refused:
            run.train(tmp_path / "runs")
        assert not (tmp_path / "runs").exists()
        (problem,) = refused.value.problems
        assert problem.path == "trainer.callbacks.1"
        assert "active: false" in problem.message
        return problem.message

    def test_gpu_monitor_without_a_driver_is_a_problem(self, tmp_path, monkeypatch) -> None:
        with no_nvml_library(monkeypatch):
            assert "no NVIDIA driver is installed" in self.refuse(tmp_path)

    def test_a_driver_that_does_not_answer(self, tmp_path) -> None:
        with nvml_library(GPU()) as library:
            library.error = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
            assert "driver does not respond: RM has detected an NVML/RM version mismatch." in self.refuse(tmp_path)

    def test_another_device_in_the_file(self, tmp_path) -> None:
        with nvml_library(GPU()):
            assert "trainer.accelerator is cpu" in self.refuse(tmp_path, "trainer.accelerator=cpu")

    def test_a_gpu_that_is_hidden(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        with nvml_library(GPU()):
            assert 'PyTorch finds no GPU (CUDA_VISIBLE_DEVICES is "")' in self.refuse(tmp_path)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"name": "EMACallback"}, "another EMACallback both replace the weights"),
        ({"name": "StochasticWeightAveraging", "params": {"swa_lrs": 0.1}}, "StochasticWeightAveraging both replace"),
        ({"name": "ModelPruning", "params": {"pruning_fn": "l1_unstructured"}}, "use_lottery_ticket_hypothesis: false"),
    ],
)
def test_what_cannot_work_beside_an_average(tmp_path, other, reason) -> None:
    (problem,) = refuse(tmp_path, [{"name": "Timer"}, {"name": "EMACallback"}, other])
    assert reason in problem
    assert "trainer.callbacks.1" in problem


def test_what_cannot_work_beside_channels_last(tmp_path) -> None:
    pruning = {"name": "ModelPruning", "params": {"pruning_fn": "l1_unstructured"}}
    callbacks = [{"name": "Timer"}, {"name": "ChannelsLast"}, pruning]
    problems = refuse(tmp_path, callbacks, {"optimizer": {"name": "LBFGS"}})
    assert [reason in problem for reason, problem in zip(("ModelPruning", "LBFGS"), problems, strict=True)] == [
        True
    ] * 2
    assert all("trainer.callbacks.1" in problem for problem in problems)


def test_a_parameter_out_of_its_range_is_named(tmp_path) -> None:
    (problem,) = refuse(tmp_path, [{"name": "EMACallback", "params": {"decay": 1.0}}])
    assert "bad.yaml:" in problem
    assert problem.endswith("decay: expected a number of at least 0 and less than 1, got 1.0.")


def test_parameters_out_of_range_are_reported_together(tmp_path) -> None:
    average = {"name": "EMACallback", "params": {"decay": 1.0, "decay_tau": 0}}
    maps = {"name": "GradCamCallback", "params": {"target_layer": "auto", "class_idx": -1, "log_n_batches": 0}}
    problems = refuse(tmp_path, [average, maps])
    assert [problem.split(": ")[1].removeprefix("trainer.callbacks.") for problem in problems] == [
        "0.params.decay", "0.params.decay_tau", "1.params.class_idx", "1.params.log_n_batches",
    ]  # fmt: skip


def test_names_and_ranges_are_in_one_report_and_combinations_in_the_next(tmp_path) -> None:
    callbacks = [
        {"name": "EMACallback", "params": {"decay": 1.5}},
        {"name": "Timr"},
        {"name": "TestOnTrainEnd"},
        {"name": "TestOnTrainEnd"},
    ]
    model = {"name": "ClassificationModel", "params": {"backbone": "resnet81", "backbone_params": {"no_jit": True}}}
    problems = "\n".join(refuse(tmp_path, callbacks, model=model, tracker={"mlflow": True}))
    for words in ("resnet81", "decay: expected", 'Did you mean "Timer"?'):
        assert problems.count(words) == 1, problems
    callbacks[:2] = []
    model["params"]["backbone"] = "resnet18"
    problems = "\n".join(refuse(tmp_path, callbacks, model=model, tracker={"mlflow": True}))
    for words in ("no_jit", "is listed twice", "tracking_uri"):
        assert problems.count(words) == 1, problems


@pytest.mark.parametrize(
    ("answer", "words"),
    [(None, "NoneType"), (["no"], "'str' object has no attribute"), (1 / 3, "not iterable")],
)
def test_a_check_of_ones_own_that_fails_is_named(tmp_path, monkeypatch, answer, words) -> None:
    monkeypatch.setattr(Timer, "check", lambda *_: answer)
    [problem] = refuse(tmp_path, [{"name": "Timer"}])
    assert "trainer.callbacks.0: Timer.check(config, callbacks) failed with" in problem
    assert words in problem


@pytest.mark.parametrize(
    ("name", "params", "advice"),
    [
        ("EarlyStopping", {"monitor": "val/accuracy"}, "takes the smallest val/accuracy for the best. Set mode: max"),
        ("ModelCheckpoint", {"monitor": "val/loss", "mode": "max"}, "takes the largest val/loss for the best"),
        ("EarlyStopping", {"monitor": "val/accuracy", "mode": "max"}, None),
        ("ModelCheckpoint", {"monitor": "val/loss"}, None),
    ],
)
def test_the_worst_for_the_best_is_a_warning(caplog, name, params, advice) -> None:
    told = warnings_of([{"name": name, "params": params}], caplog)
    assert ("for the best" in told) == (advice is not None)
    assert (advice or "") in told


def test_a_timer_beside_max_time_is_one_problem(tmp_path) -> None:
    [problem] = refuse(tmp_path, [{"name": "Timer", "params": {"duration": "2h"}}], {"max_time": "1h"})
    assert "trainer.callbacks.0: Timer and trainer.max_time both limit" in problem


def test_options_of_an_export_are_checked_like_their_section(tmp_path) -> None:
    step = {"name": "ExportOnTrainEnd", "params": {"exporter": {"opsett": 17, "opset": 3}}}
    unknown, small = sorted(refuse(tmp_path, [step]))
    assert 'params.exporter.opsett: unknown key "opsett". Did you mean "opset"?' in unknown
    assert "params.exporter.opset: " in small
    with pytest.raises(ValueError, match="opsett"):
        ExportOnTrainEnd(exporter={"opsett": 17})


def test_a_warning_names_its_line(tmp_path, caplog) -> None:
    trainer = {"callbacks": [{"name": "UploadCheckpoint"}]}
    tree = {"model": CLASSIFICATION, "data": {"name": "Digits"}, "trainer": trainer}
    file = write_yaml(tmp_path / "upload.yaml", tree)
    line = 1 + file.read_text().splitlines().index("  - name: UploadCheckpoint")
    Run.from_yaml(file).plan()
    assert f"{file}:{line}: trainer.callbacks.0: UploadCheckpoint has nowhere to upload to" in caplog.text


def test_callbacks_are_made_and_checked_once_for_a_training(monkeypatch, tmp_path) -> None:
    made, checked = [], []
    create, ask = Timer.__init__, Timer.check
    monkeypatch.setattr(Timer, "__init__", lambda self, **params: made.append(self) or create(self, **params))
    monkeypatch.setattr(Timer, "check", lambda self, *given: checked.append(self) or ask(self, *given))
    trainer = {"callbacks": [{"name": "Timer"}]}
    run = Run.from_yaml(
        {"model": CLASSIFICATION, "data": {"name": "ImageFolder", "params": {"path": "no"}}, "trainer": trainer}
    )
    with pytest.raises(ConfigError):  # the folder does not exist, which is found with all else
        run.train(tmp_path)
    assert len(made) == 1
    assert checked == made * 2  # when the file is read, and when the training begins


def test_two_checkpoints_of_one_metric_are_a_problem(tmp_path) -> None:
    entry = {"name": "ModelCheckpoint", "params": {"monitor": "val/loss"}}
    (problem,) = refuse(tmp_path, [entry, {"name": "Timer"}, entry])
    assert "trainer.callbacks.2" in problem
    assert "same state key as trainer.callbacks.0" in problem


def test_an_entry_that_is_off_is_not_checked() -> None:
    entry = {"name": "ModelCheckpoint", "params": {"monitor": "val/loss"}}
    tree = {"model": CLASSIFICATION, "data": {"name": "Digits"}}
    Run.from_yaml(tree | {"trainer": {"callbacks": [entry, entry | {"active": False}]}})


def test_an_unknown_backbone_is_named_with_its_line(tmp_path) -> None:
    model = {"name": "ClassificationModel", "params": {"backbone": "resnet81"}}
    (problem,) = refuse(tmp_path, [], model=model)
    assert "model.params.backbone" in problem
    assert '"resnet18"' in problem


def test_checkpoint_before_early_stopping_is_a_warning(caplog) -> None:
    checkpoint = {"name": "ModelCheckpoint", "params": {"monitor": "val/loss"}}
    stopping = {"name": "EarlyStopping", "params": {"monitor": "val/loss"}}
    assert "comes before EarlyStopping" in warnings_of([checkpoint, stopping], caplog)
    caplog.clear()
    assert "comes before EarlyStopping" not in warnings_of([stopping, checkpoint], caplog)


def test_averaging_that_nobody_measures_is_a_warning(caplog) -> None:
    assert "does not use its average" in warnings_of(
        [{"name": "StochasticWeightAveraging", "params": {"swa_lrs": 0.01}}], caplog
    )


def test_keeping_no_best_is_a_warning(caplog) -> None:
    keep_none = {"name": "ModelCheckpoint", "params": {"monitor": "val/loss", "save_top_k": 0}}
    assert "nothing is tested or exported" in warnings_of([keep_none], caplog)


def test_nothing_to_upload_is_a_warning(caplog, monkeypatch) -> None:
    upload = {"name": "UploadCheckpoint"}
    assert "UploadCheckpoint has nowhere to upload to" in warnings_of([upload], caplog)
    caplog.clear()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    for tracker in ({"mlflow": True}, {"tensorboard": {"dir": "s3://logs"}}):
        assert "UploadCheckpoint" not in warnings_of([upload], caplog, tracker)


@pytest.mark.parametrize(
    ("tags", "uri", "named"),
    [
        ({"api": {"key": "hunter2xyz"}}, "http://127.0.0.1:1", "tracker.mlflow.tags.api.key"),
        ({}, "http://ada:hunter2xyz@127.0.0.1:1", "tracker.mlflow.tracking_uri"),
        ({"password": "${env:PASSWORD}"}, "http://ada:${env:PASSWORD}@127.0.0.1:1", None),
    ],
)
def test_secret_that_would_be_uploaded_is_a_warning(tags, uri, named, caplog, monkeypatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2xyz")
    told = warnings_of([{"name": "UploadCheckpoint"}], caplog, {"mlflow": {"tracking_uri": uri, "tags": tags}})
    assert ("UploadCheckpoint uploads the whole configuration" in told) == (named is not None)
    assert (named or "") in told
    assert "hunter2xyz" not in told


def test_secret_that_is_not_uploaded_is_no_warning(caplog) -> None:
    tracker = {"mlflow": {"tracking_uri": "http://ada:hunter2xyz@127.0.0.1:1"}}
    told = warnings_of([{"name": "UploadCheckpoint", "active": False}], caplog, tracker)
    assert "UploadCheckpoint" not in told


def test_archive_needs_its_extra_which_is_said_before_the_training(tmp_path, monkeypatch, caplog) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "luxonis_ml" else find(name, *more)
    )
    tree = {"model": CLASSIFICATION, "data": {"name": "Digits"}}
    tree["trainer"] = {"callbacks": [{"name": "ExportOnTrainEnd"}, {"name": "ArchiveOnTrainEnd"}]}
    run = Run.from_yaml(write_yaml(tmp_path / "archive.yaml", tree))
    run.plan()
    assert "trainer.callbacks.1: an NN Archive needs luxonis-ml" in caplog.text
    with pytest.raises(ConfigError, match=r"archive.yaml:\d+: trainer.callbacks.1: .*pip install"):
        run.train(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    tree["trainer"]["callbacks"][1]["active"] = False
    caplog.clear()
    Run.from_yaml(tree).plan()
    assert "luxonis-ml" not in caplog.text


def test_the_same_step_twice_would_overwrite_itself(tmp_path) -> None:
    twice = [{"name": "ExportOnTrainEnd"}, {"name": "ExportOnTrainEnd", "params": {"preferred_checkpoint": "loss"}}]
    (problem,) = refuse(tmp_path, twice)
    assert "trainer.callbacks.1" in problem
    assert "ExportOnTrainEnd is listed twice" in problem


def test_steps_on_different_views_are_different_steps() -> None:
    views = [{"name": "TestOnTrainEnd", "params": {"view": view}} for view in ("test", "val", "train")]
    tree = {"model": CLASSIFICATION, "data": {"name": "Digits"}, "trainer": {"callbacks": views}}
    assert [entry.name for entry in Run.from_yaml(tree).plan()].count("TestOnTrainEnd") == 3


@pytest.mark.parametrize("wrong", ["latest", "best", 1])
def test_only_metric_and_loss_are_preferred(tmp_path, wrong) -> None:
    entry = {"name": "ExportOnTrainEnd", "params": {"preferred_checkpoint": wrong}}
    (problem,) = refuse(tmp_path, [entry])
    assert "preferred_checkpoint" in problem
    assert "metric" in problem


def test_there_is_one_record(tmp_path) -> None:
    (problem,) = refuse(tmp_path, [{"name": "MetadataLogger"}, {"name": "MetadataLogger"}])
    assert "trainer.callbacks.1: MetadataLogger is listed twice" in problem


def test_a_step_that_is_there_twice_is_one_problem(tmp_path) -> None:
    (problem,) = refuse(tmp_path, [{"name": "UploadCheckpoint"}, {"name": "UploadCheckpoint"}])
    assert "UploadCheckpoint is listed twice" in problem


class TestPlanReadsTheDataFolder:
    @staticmethod
    def plan(folder, **trainer):
        data = {"name": "ImageFolder", "params": {"path": str(folder), "size": 32}}
        Run.from_yaml({"model": CLASSIFICATION, "data": data, "trainer": {"batch_size": 2} | trainer}).plan()

    @staticmethod
    def write(folder, *classes):
        for name in classes:
            (folder / name).mkdir(parents=True)
            for number in range(5):
                Image.new("RGB", (32, 32)).save(folder / name / f"{number}.png")
        return folder

    def test_one_class_is_a_problem_of_the_data(self, tmp_path) -> None:
        with pytest.raises(ConfigError, match="data: the data has only the class ant; a model needs at least 2"):
            self.plan(self.write(tmp_path, "ant"))

    def test_a_schedule_shorter_than_the_training(self, tmp_path) -> None:
        folder = self.write(tmp_path, "ant", "bee")
        scheduler = {"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 0.1, "total_steps": 8}}
        self.plan(folder, epochs=2, scheduler=scheduler)  # six training images: three batches
        with pytest.raises(ConfigError, match="OneCycleLR ends after 8 steps, but the training takes 9 steps"):
            self.plan(folder, epochs=3, scheduler=scheduler)

    def test_files_that_a_training_would_refuse(self, tmp_path) -> None:
        (self.write(tmp_path, "ant", "bee") / "cat").mkdir()
        with pytest.raises(DataError, match="no images in the class cat"):
            self.plan(tmp_path)


@pytest.mark.parametrize("value", ["1e999", ".nan", "-.inf"])
def test_a_number_must_be_finite(value) -> None:
    tree = {"model": CLASSIFICATION, "data": {"name": "Digits"}}
    with pytest.raises(ConfigError, match=r"params\.lr: expected a number.* It must be finite"):
        Run.from_yaml(tree, [f"trainer.optimizer.params.lr={value}"])
    with pytest.raises(ConfigError, match=r"gradient_clip_val: expected a number .* It must be finite"):
        Run.from_yaml(tree, [f"trainer.gradient_clip_val={value}"])


@pytest.mark.parametrize(("epochs", "warned"), [(2, True), (3, False), (4, False)])
def test_a_training_that_is_never_validated_is_named(caplog, epochs, warned) -> None:
    trainer = {"epochs": epochs, "validation_interval": 3}
    with caplog.at_level(logging.WARNING):
        Run.from_yaml({"model": CLASSIFICATION, "data": {"name": "Digits"}, "trainer": trainer}).plan()
    assert ("ends before the first validation" in caplog.text) == warned


@pytest.mark.parametrize(("mosaic", "steps", "warned"), [(1.0, 50, True), (0.0, 50, False), (1.0, None, False)])
def test_epochs_that_steps_may_leave_out_are_named(caplog, mosaic, steps, warned) -> None:
    detector = {"name": "DetectionModel", "params": {"backbone": "test_resnet"}}
    data = {"name": "DigitBoxes", "params": {"mosaic": mosaic}}
    with caplog.at_level(logging.WARNING):
        Run.from_yaml({"model": detector, "data": data, "trainer": {"epochs": 90, "max_steps": steps}}).plan()
    assert ("before images are left unmixed" in caplog.text) == warned


@pytest.mark.parametrize("precision", ["16-true", "bf16-true"])
def test_coordinates_are_not_rounded_to_16_bits(tmp_path, precision) -> None:
    detector = {"name": "DetectionModel", "params": {"backbone": "test_resnet"}}
    sections = {"model": detector, "data": {"name": "DigitBoxes"}}
    [problem] = refuse(tmp_path, [], {"precision": precision}, **sections)
    assert f"Use {precision.replace('true', 'mixed')}." in problem
    Run.from_yaml({**sections, "trainer": {"precision": precision.replace("true", "mixed")}})
