"""NN Archives: what is written, by whom it can be read, and what is refused."""

import bz2
import errno
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import resource
import signal
import subprocess
import sys
import tarfile
import time
from functools import partial
from multiprocessing import get_context

import onnx
import pytest
import torch
from luxonis_ml.nn_archive import ArchiveGenerator, Config, is_nn_archive
from torch import nn

from cuelight.errors import ArchiveError, WriteError
from cuelight.export.archive import nn_archive
from cuelight.export.archive import schema as archive_schema
from cuelight.export.archive.check import find_problems
from cuelight.export.archive.nn_archive import archive_suffix
from cuelight.export.archive.reading import read_archive
from cuelight.export.archive.schema import archive_problem
from cuelight.tasks.lookup import head_problems
from cuelight.utils.files import remove_partial_files
from support.onnx_files import CLASS_NAMES, HEADS, InHalfPrecision, describe, make_onnx, write_onnx

# As a training writes and checks archives.
write_archive = partial(nn_archive.write_archive, check_head=head_problems)

COMPRESSIONS = ["none", "gz", "bz2", "xz"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_onnx(tmp_path_factory.mktemp("model"))


@pytest.fixture
def archive(model, tmp_path):
    return write_archive(model, tmp_path / "model.tar", name="insects", heads=HEADS)


def config_of(onnx_path, folder, heads=None, **options):
    return read_archive(write_archive(onnx_path, folder / "a.tar", name="a", heads=heads, **options))[0]["model"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_luxonis_ml_reads_every_compression(model, tmp_path, compression) -> None:
    path = tmp_path / f"model{archive_suffix(compression)}"
    assert write_archive(model, path, name="insects", heads=HEADS, compression=compression) == path
    assert is_nn_archive(path)
    with tarfile.open(path, f"r:{compression.replace('none', '')}") as tar:
        assert tar.getnames() == ["config.json", "model.onnx"]
        config = Config.model_validate_json(tar.extractfile("config.json").read()).model
        assert tar.extractfile(config.metadata.path).read() == model.read_bytes()
    assert (config.metadata.name, config.inputs[0].shape, config.inputs[0].layout) == (
        "insects",
        [1, 3, 32, 48],
        "NCHW",
    )
    assert (config.outputs[0].name, config.outputs[0].shape, config.outputs[0].layout) == ("logits", [1, 5], "NC")
    assert config.heads[0].metadata.classes == list(CLASS_NAMES)


@pytest.mark.parametrize(
    ("color", "mean", "scale", "dai_type", "resize"),
    [
        ("RGB", [102, 127.5, 153], [51, 76.5, 63.75], "RGB888p", "STRETCH"),
        ("BGR", [102, 127.5, 153], [51, 76.5, 63.75], "BGR888p", "LETTERBOX"),
        ("GRAY", [76.5], [102], "GRAY8", "CROP"),
    ],
)
def test_preprocessing_is_told_in_units_of_a_camera(tmp_path, color, mean, scale, dai_type, resize) -> None:
    [entry] = config_of(make_onnx(tmp_path, color), tmp_path)["inputs"]
    assert entry["dtype"] == "float32"
    assert entry["preprocessing"]["mean"] == pytest.approx(mean)
    assert entry["preprocessing"]["scale"] == pytest.approx(scale)
    assert (entry["preprocessing"]["dai_type"], entry["preprocessing"]["resize_mode"]) == (dai_type, resize)


@pytest.mark.parametrize(("color", "dai_type"), [("RGB", "RGB888p"), ("BGR", "RGB888p"), ("GRAY", "GRAY8")])
def test_a_model_that_normalizes_by_itself_takes_bytes(tmp_path, color, dai_type) -> None:
    [entry] = config_of(make_onnx(tmp_path, color, inside=True), tmp_path)["inputs"]
    channels = entry["shape"][1]
    assert entry["dtype"] == "uint8"
    assert entry["preprocessing"]["mean"] == [0] * channels
    assert entry["preprocessing"]["scale"] == [1] * channels
    assert entry["preprocessing"]["dai_type"] == dai_type


def test_the_archive_tells_of_the_weights(archive) -> None:
    metadata = read_archive(archive)[0]["model"]["metadata"]
    assert metadata["weights_fingerprint"] == "f" * 64
    assert metadata["class_names"] == list(CLASS_NAMES)
    assert metadata["precision"] == "float32"
    assert metadata["cuelight_version"]


def test_a_free_batch_is_written_as_one(tmp_path) -> None:
    config = config_of(make_onnx(tmp_path, dynamic=True), tmp_path, HEADS)
    assert config["inputs"][0]["shape"] == [1, 3, 32, 48]
    assert config["outputs"][0]["shape"] == [1, 5]


def test_sizes_that_the_file_leaves_open_are_seen_by_running_it(tmp_path) -> None:
    path = make_onnx(tmp_path, dynamic=True)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "unknown"
    onnx.save(model, path)
    assert config_of(path, tmp_path, HEADS)["outputs"][0]["shape"] == [1, 5]


def test_images_of_any_size_are_refused(tmp_path) -> None:
    path = make_onnx(tmp_path)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    with pytest.raises(ArchiveError, match=r"images has a free size.*\[1, 3, None, 48\].*one size of images"):
        write_archive(path, tmp_path / "a.tar", name="a", heads=None)


def test_half_precision_is_told(tmp_path) -> None:
    module = InHalfPrecision(nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    path = write_onnx(tmp_path / "half.onnx", module, torch.zeros(1, 3, 32, 48), describe())
    config = config_of(path, tmp_path, HEADS)
    assert config["metadata"]["precision"] == "float16"
    assert (config["inputs"][0]["dtype"], config["outputs"][0]["dtype"]) == ("float32", "float32")


def test_no_description_no_heads(model, tmp_path, caplog) -> None:
    bare = onnx.load(model)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    config = config_of(tmp_path / "bare.onnx", tmp_path)
    assert config["inputs"][0]["preprocessing"] == {}
    assert config["heads"] is None
    assert "weights_fingerprint" not in config["metadata"]
    assert "has no preprocessing metadata" in caplog.text


def test_what_is_no_image_has_no_preprocessing(tmp_path) -> None:
    path = write_onnx(tmp_path / "five.onnx", nn.Conv2d(5, 5, 1), torch.zeros(1, 5, 32, 48), describe())
    [entry] = config_of(path, tmp_path)["inputs"]
    assert (entry["input_type"], entry["layout"], entry["preprocessing"]) == ("raw", "NCHW", {})


def test_a_damaged_description_is_refused(model, tmp_path) -> None:
    broken = onnx.load(model)
    next(entry for entry in broken.metadata_props if entry.key == "preprocessing").value = '{"size": [1'
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(ArchiveError, match=r"broken\.onnx: its metadata is damaged"):
        write_archive(tmp_path / "broken.onnx", tmp_path / "a.tar", name="a", heads=None)


def test_a_name_that_readers_would_not_find_is_replaced(tmp_path) -> None:
    path = make_onnx(tmp_path, name="modèle.onnx")
    config, _ = read_archive(write_archive(path, tmp_path / "a.tar", name="é", heads=None))
    assert config["model"]["metadata"]["path"] == "model.onnx"


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_same_input_gives_the_same_bytes(tmp_path, model, compression, monkeypatch) -> None:
    sums = set()
    for number, now in enumerate([1e9, 1.5e9]):
        copy = tmp_path / str(number) / "model.onnx"
        copy.parent.mkdir()
        copy.write_bytes(model.read_bytes())
        os.utime(copy, (now, now))
        monkeypatch.setattr(time, "time", lambda now=now: now)
        path = tmp_path / f"{number}.archive"
        write_archive(copy, path, name="a", heads=HEADS, compression=compression)
        sums.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(sums) == 1


# Whole or not at all.


def test_a_full_disk_leaves_the_older_archive(model, archive) -> None:
    before = archive.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does, unless a library changed it
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"model\.tar: this file cannot be written: File too large"):
            write_archive(model, archive, name="b", heads=HEADS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert archive.read_bytes() == before
    assert [entry.name for entry in archive.parent.iterdir()] == ["model.tar"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_reason_is_named_when_a_disk_refuses(model, tmp_path, monkeypatch, number) -> None:
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WriteError, match=f"a.tar: this file cannot be written: {os.strerror(number)}"):
        write_archive(model, tmp_path / "a.tar", name="a", heads=None)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(model, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"a\.tar: this file cannot be written: .*file is a file"):
        write_archive(model, tmp_path / "file" / "a.tar", name="a", heads=None)


def write_slowly(onnx_path, path):
    write_archive(onnx_path, path, name="a", heads=None, compression="xz")


def test_a_killed_process_leaves_only_a_partial_file(tmp_path) -> None:
    out = tmp_path / "out"
    large = write_onnx(
        tmp_path / "large.onnx",
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 48, 800)),
        torch.zeros(1, 3, 32, 48),
        describe(class_names=None),
    )
    process = get_context("fork").Process(target=write_slowly, args=(large, out / "a.tar.xz"))
    process.start()
    wait_for(lambda: any(entry.stat().st_size for entry in out.glob(".*.partial")), process)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    [leftover] = out.iterdir()
    assert leftover.name.endswith(".partial")
    remove_partial_files(out)
    assert not list(out.iterdir())


def wait_for(condition, process):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        assert process.is_alive()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": ["scores"]}, r"head 0: there is no output scores; the model has logits"),
        ({"metadata": {"classes": ["a"], "n_classes": 5, "is_softmax": False}}, r"n_classes is 5, but classes has 1"),
        ({"metadata": {"classes": ["a"], "n_classes": 1, "is_softmax": False}}, r"n_classes is 1, but logits has 5"),
        ({"parser": None}, r"luxonis-ml rejects the configuration.*\n +model\.heads\.0\.parser"),
    ],
)
def test_heads_that_do_not_fit_are_refused(model, archive, change, message) -> None:
    before = archive.read_bytes()
    with pytest.raises(ArchiveError, match=message):
        write_archive(model, archive, name="b", heads=[HEADS[0] | change])
    assert archive.read_bytes() == before
    assert [entry.name for entry in archive.parent.iterdir()] == ["model.tar"]


def test_heads_of_segmentation_count_channels(tmp_path) -> None:
    path = write_onnx(tmp_path / "masks.onnx", nn.Conv2d(3, 5, 1), torch.zeros(1, 3, 32, 48), describe())
    head = HEADS[0] | {"parser": "SegmentationParser"}
    assert config_of(path, tmp_path, [head])["outputs"][0] == {
        "name": "logits",
        "dtype": "float32",
        "shape": [1, 5, 32, 48],
        "layout": "NCHW",
    }
    four = {"classes": list(CLASS_NAMES[:4]), "n_classes": 4, "is_softmax": False}
    with pytest.raises(ArchiveError, match=r"n_classes is 4, but logits has 5 of \[1, 5, 32, 48\]"):
        write_archive(path, tmp_path / "a.tar", name="a", heads=[head | {"metadata": four}])


def test_a_classifier_of_two_outputs_is_refused(tmp_path) -> None:
    path = make_onnx(tmp_path)
    model = onnx.load(path)
    model.graph.output.append(onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, 32, 48]))
    onnx.save(model, path)
    with pytest.raises(ArchiveError, match="ClassificationParser takes one output, got logits, images"):
        write_archive(path, tmp_path / "a.tar", name="a", heads=[HEADS[0] | {"outputs": ["logits", "images"]}])
    with pytest.raises(ArchiveError, match="an output is named twice: logits, logits"):
        write_archive(path, tmp_path / "a.tar", name="a", heads=[HEADS[0] | {"outputs": ["logits", "logits"]}])


def test_files_that_are_no_onnx(tmp_path, model) -> None:
    cases = {
        "missing.onnx": None,
        "empty.onnx": b"",
        "half.onnx": model.read_bytes()[:2000],
        "text.onnx": b"hello" * 99,
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ArchiveError, match=name):
            write_archive(tmp_path / name, tmp_path / "a.tar", name="a", heads=None)
    assert not (tmp_path / "a.tar").exists()


def test_weights_in_another_file_are_refused(model, tmp_path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(onnx.load(model), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(ArchiveError, match=r"its weights are in a separate file.*external_data=False"):
        write_archive(path, tmp_path / "a.tar", name="a", heads=None)


# What the check finds.


def pack(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def set_preprocessing(key, value):
    return lambda model: model["inputs"][0]["preprocessing"].__setitem__(key, value)


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (set_preprocessing("dai_type", "RGB"), r"unknown dai_type 'RGB'; expected one of RGB888p"),
        (set_preprocessing("dai_type", "GRAY8"), r"GRAY8 has 1 channels, the model takes 3"),
        (set_preprocessing("mean", [1.0]), r"mean has 1 numbers for 3 channels"),
        (lambda model: model["heads"][0].update(outputs=["x"]), r"head 0: there is no output x"),
    ],
)
def test_a_wrong_description_is_found(archive, tamper, message) -> None:
    model = read_archive(archive)[0]["model"]
    assert not find_problems(model)
    tamper(model)
    [problem] = find_problems(model)
    assert re.search(message, problem)


def test_a_disk_that_keeps_something_else_is_found(model, archive, monkeypatch) -> None:
    before = archive.read_bytes()
    write_tar = nn_archive._write_tar

    def flipped(stream, config, onnx):
        write_tar(stream, config, onnx)
        stream.seek(stream.tell() // 2)
        [byte] = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))

    monkeypatch.setattr(nn_archive, "_write_tar", flipped)
    with pytest.raises(ArchiveError, match="differs from what was written"):
        write_archive(model, archive, name="b", heads=HEADS)
    assert archive.read_bytes() == before


# Reading what others wrote, or damaged.


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_was_written_is_read(model, tmp_path, compression) -> None:
    path = write_archive(model, tmp_path / "a", name="a", heads=HEADS, compression=compression)
    config, onnx_bytes = read_archive(path)
    assert onnx_bytes == model.read_bytes()
    assert config["model"]["heads"][0]["metadata"]["classes"] == list(CLASS_NAMES)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_archives_of_luxonis_ml_are_read(model, archive, tmp_path, compression) -> None:
    config, _ = read_archive(archive)
    del config["model"]["metadata"]["onnx_sha256"]  # its writer drops what it does not know
    theirs = ArchiveGenerator("theirs", str(tmp_path), config, [str(model)], compression).make_archive()
    assert read_archive(theirs)[1] == model.read_bytes()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5])
def test_half_a_file_is_refused(model, tmp_path, compression, share) -> None:
    path = write_archive(model, tmp_path / "a", name="a", heads=HEADS, compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArchiveError, match="a: "):
        read_archive(path)


def test_a_flipped_bit_is_found(archive) -> None:
    content = bytearray(archive.read_bytes())
    content[content.index(b"\x08\x08\x12\x07pytorch") + 2000] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="checksum"):
        read_archive(archive)


def named(path):
    return json.dumps({"config_version": "1.0", "model": {"metadata": {"name": "a", "path": path}}}).encode()


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "no 'config.json'"),
        ([("inner/config.json", named("m.onnx")), ("m.onnx", b"")], "no 'config.json'.*inside is 'inner/config.json'"),
        ([("config.json", named("m.onnx"))], "names 'm.onnx', which is missing"),
        ([("config.json", named("m.onnx")), ("./m.onnx", b"")], "names 'm.onnx', which is missing"),
        ([("config.json", named("/etc/passwd")), ("/etc/passwd", b"")], "not a plain file"),
        ([("config.json", named("../m.onnx")), ("../m.onnx", b"")], "not a plain file"),
        ([("config.json", named("m")), (special("m", tarfile.SYMTYPE, "/etc/passwd"), b"")], "not a plain file"),
        ([("config.json", named("m")), (special("m", tarfile.LNKTYPE, "config.json"), b"")], "not a plain file"),
        ([("config.json", named("m")), (special("m", tarfile.FIFOTYPE), b"")], "not a plain file"),
        ([("config.json", named("m")), ("m", b"1"), ("m", b"2")], "contains 'm' twice"),
        ([("config.json", b"{"), ("m", b"")], "not a whole NN Archive"),
        ([("config.json", b"\xff\xfe{"), ("m", b"")], "not a whole NN Archive"),
        ([("config.json", b"[" * 100_000), ("m", b"")], "not a whole NN Archive"),
        ([("config.json", b"[1]"), ("m", b"")], "names no model"),
        ([("config.json", named(7)), ("m", b"")], "names no model"),
        ([("config.json", b" " * (17 * 1024**2))], "too large"),
        ([(str(number), b"") for number in range(1001)], "too large for an NN Archive"),
    ],
)
def test_hostile_and_broken_archives_are_refused(tmp_path, members, message) -> None:
    path = pack(tmp_path / "a.tar", members)
    with pytest.raises(ArchiveError, match=message):
        read_archive(path)


def test_a_member_that_claims_to_be_huge_is_not_read(tmp_path) -> None:
    member = tarfile.TarInfo("bomb")
    member.size = 1 << 40
    (tmp_path / "a.tar").write_bytes(member.tobuf() + bytes(10240))
    with pytest.raises(ArchiveError, match="too large for an NN Archive"):
        read_archive(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_what_unpacks_to_much_more_is_not_read(tmp_path, kind, opener) -> None:
    member = tarfile.TarInfo("bomb")
    member.size, member.type = 300 * 1024**2, kind
    with opener(tmp_path / "a.tar", "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ArchiveError, match="more than 268435456 bytes, too large for an NN Archive"):
        read_archive(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["missing.tar", "."])
def test_no_file_to_read(tmp_path, name) -> None:
    with pytest.raises(ArchiveError, match="cannot be read"):
        read_archive(tmp_path / name)


# The extra.


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_a_missing_extra_is_told_before_and_by_an_error(model, tmp_path, monkeypatch) -> None:
    assert archive_problem() is None
    monkeypatch.setattr(archive_schema.importlib.util, "find_spec", lambda name: None)
    assert 'pip install "cuelight[archive]"' in archive_problem()
    with pytest.raises(ArchiveError, match=r"pip install \"cuelight\[archive\]\""):
        write_archive(model, tmp_path / "a.tar", name="a", heads=None)
    assert not list(tmp_path.iterdir())


def test_asking_for_the_extra_imports_nothing() -> None:
    code = "import sys; from cuelight.export.archive.schema import archive_problem as p; print(p(), *sys.modules)"
    problem, *modules = run_python(code)
    assert problem == "None"
    assert not {"luxonis_ml", "torch", "onnx", "onnxruntime"} & set(modules)


def test_an_archive_is_read_without_the_extra(archive) -> None:
    code = (
        "import sys; sys.modules['luxonis_ml'] = None; from pathlib import Path;"
        "from cuelight.export.archive.reading import read_archive;"
        f"print(read_archive(Path({str(archive)!r}))[0]['model']['metadata']['path'])"
    )
    assert run_python(code) == ["model.onnx"]


def test_luxonis_ml_does_not_take_over_warnings() -> None:
    code = (
        "import os, sys, warnings; before = warnings.showwarning, sys.excepthook;"
        "from cuelight.export.archive.schema import validate; validate({});"
        "print((warnings.showwarning, sys.excepthook) == before, 'LUXONISML_DISABLE_SETUP_LOGGING' in os.environ)"
    )
    assert run_python(code) == ["True", "False"]
