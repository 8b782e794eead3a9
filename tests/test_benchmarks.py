"""Each benchmark measures what it says, with settings too small for its figures to mean anything."""

import importlib
import os
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from support.nvml_library import GPU, no_nvml_library, nvml_library

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark_named(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "common", raising=False)
    return importlib.import_module


def test_ratios_compare_within_a_round(benchmark_named):
    common = benchmark_named("common")
    assert common.ratios({"own": [2.0, 30.0], "peer": [1.0, 10.0]}, "own", "peer") == [2.0, 3.0]


def test_rounds_begin_with_another_measure_each_time(benchmark_named):
    order = []
    measures = {name: lambda name=name: order.append(name) or 1.0 for name in ("a", "b")}
    values = benchmark_named("common").interleave(measures, 2)
    assert order == ["a", "b", "b", "a"]
    assert values == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


@pytest.mark.parametrize(("limit", "at_most", "code"), [(2, True, 0), (1.9, True, 1), (2, False, 0), (2.1, False, 1)])
def test_the_exit_code_tells_whether_the_target_is_met(benchmark_named, capsys, limit, at_most, code):
    common = benchmark_named("common")
    values = {"peer": [1.0, 1.0, 1.0], "own": [2.0, 2.0, 9.0]}
    assert common.report("claim", "s", values, "peer", {"own": common.Target(limit, at_most)}) == code
    assert ("MISSED" in capsys.readouterr().out) == bool(code)


def test_help(benchmark_named):
    benchmark = benchmark_named("help")
    values = benchmark.measure(rounds=1)
    assert benchmark_named("common").ratios(values, benchmark.OWN, benchmark.PEER)[0] > 0
    assert benchmark.heavy_imports() == set()


def test_input_pipeline(benchmark_named):
    benchmark = benchmark_named("input_pipeline")
    values = benchmark.measure(images=8, rounds=1, workers=0)
    ratios = benchmark_named("common").ratios
    assert ratios(values, benchmark.TRAINING, benchmark.PLAIN_TRAINING)[0] > 0
    assert ratios(values, benchmark.EVALUATION, benchmark.PLAIN_EVALUATION)[0] > 0


def test_ema(benchmark_named):
    benchmark = benchmark_named("ema")
    updates, swaps, memory = benchmark.measure("test_resnet", "cpu", rounds=1)
    steps = benchmark.measure_step("test_resnet", "cpu", rounds=1, batch_size=2, side=32)
    ratios = benchmark_named("common").ratios
    assert all(ratios(updates, name, benchmark.BARE)[0] > 0 for name in updates)
    assert ratios(swaps, benchmark.LIGHTNING, benchmark.OWN)[0] > 0
    assert ratios(steps, benchmark.OWN, benchmark.STEP)[0] > 0
    for name, target in benchmark.MEMORY_TARGETS.items():
        assert target.met(ratios(memory, name, benchmark.WEIGHTS)[0]), name


def test_gradcam(benchmark_named):
    benchmark = benchmark_named("gradcam")
    torch.manual_seed(1)  # other weights may have maps without influence
    comparison = benchmark.Comparison("test_resnet", "layer4", batch_size=2, side=64, device="cpu")
    maps = {name: way() for name, way in comparison.ways().items()}
    assert maps[benchmark.OWN].any()
    assert torch.allclose(maps[benchmark.OWN], maps[benchmark.HAND], rtol=1e-4)
    assert torch.allclose(maps[benchmark.OWN], maps[benchmark.CAPTUM], rtol=1e-4)
    times, memory = benchmark.measure(comparison, rounds=1)
    ratios = benchmark_named("common").ratios
    assert all(ratios(times, name, benchmark.OWN)[0] > 0 for name in maps)
    assert (
        ratios(memory, benchmark.OWN, benchmark.LAYER_TENSORS)[0]
        < ratios(memory, benchmark.GRAD_CAM, benchmark.LAYER_TENSORS)[0]
    )
    pictures = benchmark.measure_callback(comparison, rounds=1)
    assert ratios(pictures, benchmark.CALLBACK, benchmark.OWN)[0] > 1


def test_channels_last(benchmark_named):
    benchmark = benchmark_named("channels_last")
    make = partial(benchmark.ClassificationModel, "test_resnet", num_classes=2)
    values = benchmark.measure(make, torch.tensor([0, 1]), side=32, rounds=1, steps=1)
    assert benchmark_named("common").ratios(values, benchmark.OWN, benchmark.USUAL)[0] > 0


def test_archive_table(benchmark_named):
    table = benchmark_named("train_end").archive_table(["test_resnet"], size=32, rounds=1).splitlines()
    assert all(line.count("|") == 6 for line in table)
    assert [line.split(" | ")[1] for line in table[2:]] == [
        "none, the default",
        "gz",
        "bz2",
        "xz",
        "luxonis_ml ArchiveGenerator, xz",
    ]
    assert all(float(number) >= 0 for line in table[2:] for number in line.strip("| ").split(" | ")[2:])


@pytest.mark.slow
def test_export_memory(benchmark_named):
    benchmark = benchmark_named("train_end")
    values = benchmark.measure_memory("resnet10t", size=32, rounds=1)
    assert values.keys() == {benchmark.WEIGHTS, *benchmark.EXPORTERS}
    assert all(benchmark_named("common").ratios(values, name, benchmark.WEIGHTS)[0] > 0 for name in values)


@pytest.mark.slow
def test_train_end(benchmark_named, tmp_path):
    benchmark = benchmark_named("train_end")
    images = benchmark.write_images(tmp_path, {"train": 20, "valid": 10, "test": 10})
    trainings = {benchmark.OWN: partial(benchmark.own_steps, images)}
    if python := os.environ.get(benchmark.PYTHON_VARIABLE):
        trainings[benchmark.PEER] = partial(benchmark.luxonis_steps, Path(python), images)
    values = benchmark.measure_steps(trainings, rounds=1)
    whole, *steps = values
    assert steps == ["Test", "Export", "Archive"]
    for name in trainings:
        assert values[whole][name][0] == pytest.approx(sum(values[step][name][0] for step in steps))
        assert all(values[step][name][0] > 0 for step in steps)


@pytest.mark.slow
def test_whole_run(benchmark_named, tmp_path):
    benchmark = benchmark_named("whole_run")
    images = benchmark.write_images(tmp_path / "images", {"train": 40, "valid": 10, "test": 10})
    theirs = benchmark.write_file(tmp_path, images, epochs=1)
    assert benchmark.own_run(benchmark.convert(theirs)) > 0
    if python := os.environ.get(benchmark.PYTHON_VARIABLE):
        assert benchmark.luxonis_run(Path(python), theirs) > 0


@pytest.mark.parametrize(("seconds", "code"), [(2.0, 0), (2.1, 1)])
def test_only_the_whole_train_end_has_a_target(benchmark_named, seconds, code):
    benchmark = benchmark_named("train_end")
    values = {benchmark.WHOLE: {benchmark.PEER: [10.0], benchmark.OWN: [seconds]}}
    values["Test"] = {benchmark.PEER: [1.0], benchmark.OWN: [1.0]}
    assert benchmark.compare_steps(values) == code


@pytest.mark.slow
def test_step_overhead(benchmark_named, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    benchmark = benchmark_named("step_overhead")
    values = benchmark.measure(steps=8, rounds=1, batch_size=4, callbacks=(0, 2))
    ratios = benchmark_named("common").ratios
    variants = (benchmark.NO_TERMINAL, benchmark.TERMINAL, benchmark.with_callbacks(2))
    assert all(ratios(values, variant, benchmark.PLAIN)[0] > 0 for variant in variants)


@pytest.mark.slow
def test_first_step(benchmark_named):
    benchmark = benchmark_named("first_step")
    values = benchmark.measure(rounds=1)
    assert benchmark_named("common").ratios(values, benchmark.OWN, benchmark.PEER)[0] > 0


@pytest.mark.slow
def test_upload(benchmark_named, mlflow_uri):
    benchmark = benchmark_named("upload")
    for kind in (benchmark.NOTHING, benchmark.OWN, benchmark.PEER):
        timing = benchmark.train(kind, mlflow_uri, megabytes=1, steps=9)
        assert timing.gap > 0
        assert len(timing.before) == 2
        assert timing.slowest > 0


@pytest.mark.parametrize(("gap", "code"), [(19.0, 0), (21.0, 1)])
def test_an_upload_may_stall_a_training_for_a_moment(benchmark_named, gap, code):
    benchmark = benchmark_named("upload")
    gaps = {benchmark.NOTHING: 5.0, benchmark.OWN: 5.0 + gap, benchmark.PEER: 5000.0}
    taken = {kind: [benchmark.Timing(gap, [10.0], [10.0, 12.0])] for kind, gap in gaps.items()}
    assert benchmark.show(taken, 10.0) == code


def test_gpu_stats_says_that_it_needs_a_card(benchmark_named, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_stats.py"])
    with no_nvml_library(monkeypatch):
        assert benchmark_named("gpu_stats").main() == 0
    assert capsys.readouterr().out.startswith("not measured: no GPU")


def test_gpu_stats(benchmark_named, tmp_path):
    benchmark = benchmark_named("gpu_stats")
    nvidia_smi = tmp_path / "nvidia-smi"
    nvidia_smi.write_text('#!/bin/sh\necho "$@" >> "$0.log"\n')
    nvidia_smi.chmod(0o755)
    with nvml_library(GPU()):
        values = benchmark.measure(str(nvidia_smi), rounds=1)
    assert benchmark_named("common").ratios(values, benchmark.OWN, benchmark.PEER)[0] > 0
    asked = (tmp_path / "nvidia-smi.log").read_text().splitlines()
    assert len(asked) == 4  # one step before, to warm up
    assert f"temperature.memory --format=csv,nounits,noheader --id={GPU().uuid}" in asked[1]


@pytest.mark.slow
def test_tracking_overhead(benchmark_named, mlflow_uri):
    benchmark = benchmark_named("tracking_overhead")
    values = benchmark.measure(mlflow_uri, rounds=1, model="test_resnet", steps=9, side=32, batch_size=2)
    ratios = benchmark_named("common").ratios
    assert all(ratios(values, name, benchmark.NOTHING)[0] > 0 for name in values)
    ((seconds, share),) = benchmark._shares
    assert seconds > 0
    assert 0 < share < 1


@pytest.mark.slow
def test_at_once(benchmark_named, tmp_path):
    benchmark = benchmark_named("at_once")
    values = benchmark.measure(tmp_path, rounds=1)
    assert values.keys() == {*benchmark.TARGETS, *(name for targets in benchmark.TARGETS.values() for name in targets)}
    assert all(took[0] > 0 for took in values.values())
