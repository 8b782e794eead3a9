"""From image files to a table and pictures."""

import csv
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight.data.base.image_files import ImageFiles
from cuelight.data.loading.loaders import evaluation_loader
from cuelight.errors import CuelightError, DataError
from cuelight.export.archive.nn_archive import write_archive
from cuelight.images import tensors
from cuelight.prediction import find_images, predict, write_predictions
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.tasks.classification.decode import Classification, ClassScore
from cuelight.tasks.classification.picture import draw_classification
from support.onnx_files import CLASS_NAMES, HEADS, PREPROCESSING, describe, make_onnx, network

EXIF_ORIENTATION = 0x0112


def save_image(path, seed=0, size=(60, 50), mode="RGB", **options):
    """A picture that is not the same upside down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size).convert(mode).save(path, **options)
    return path


@pytest.fixture
def images(tmp_path):
    """Images of many kinds, as people have them."""
    folder = tmp_path / "images"
    turned = Image.Exif()
    turned[EXIF_ORIENTATION] = 6
    return [
        save_image(folder / "plain.png", 1),
        save_image(folder / "turned.jpg", 2, exif=turned),
        save_image(folder / "grey.png", 3, mode="L"),
        save_image(folder / "palette.gif", 4, mode="P"),
        save_image(folder / "alpha.png", 5, mode="RGBA"),
        save_image(folder / "tiny.bmp", 6, size=(3, 2)),
        save_image(folder / "large.webp", 7, size=(500, 300)),
    ]


class Torch:
    """PyTorch as a network, which keeps what it was given."""

    def __init__(self, color="RGB", **changes):
        self.metadata = describe(color, **changes)
        self.module = network(PREPROCESSING[color].channels)
        self.batches = []

    def __call__(self, images):
        self.batches.append(images)
        with torch.inference_mode():
            return {"logits": self.module(images).numpy()}


# Which images.


def test_folders_patterns_and_files_are_found_once_and_sorted(tmp_path) -> None:
    for name in ["b/2.png", "b/1.JPG", "a/3.png", "a/deep/er/4.webp", "b/notes.txt", "b/.hidden.png", ".cache/5.png"]:
        save_image(tmp_path / "x", format="PNG").rename(tmp_path / "x.tmp")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x.tmp").rename(tmp_path / name)

    def found(*paths):
        return [
            image.relative_to(tmp_path).as_posix() for image in find_images([str(tmp_path / path) for path in paths])
        ]

    assert found("") == ["a/3.png", "a/deep/er/4.webp", "b/1.JPG", "b/2.png"]
    assert found("b", "a/3.png", "b/2.png") == ["b/1.JPG", "b/2.png", "a/3.png"]
    assert found("*/*.png") == ["a/3.png", "b/2.png"]
    assert found("**/*.webp") == ["a/deep/er/4.webp"]
    assert found("?") == ["a/3.png", "a/deep/er/4.webp", "b/1.JPG", "b/2.png"]
    assert found("b/notes.txt") == ["b/notes.txt"]  # named by the user: it is for the reading to refuse


def test_a_file_whose_name_looks_like_a_pattern(tmp_path) -> None:
    path = save_image(tmp_path / "a[1].png")
    assert find_images([str(path)]) == [path]


def test_everything_that_is_not_there_is_named(tmp_path) -> None:
    save_image(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    names = [str(tmp_path / name) for name in ("a.png", "empty", "missing.png", "*.jpg")]
    with pytest.raises(DataError) as raised:
        find_images(names)
    nothing, missing, pattern = str(raised.value).splitlines()
    assert "empty: there are no images" in nothing
    assert "missing.png: there is no such file or folder" in missing
    assert "*.jpg: no images" in pattern
    with pytest.raises(DataError, match="No images given"):
        find_images([])


def test_a_pipe_is_no_image(tmp_path) -> None:
    path = save_image(tmp_path / "a.png")
    os.mkfifo(tmp_path / "x.png")
    assert find_images([str(tmp_path)]) == find_images([str(tmp_path / "*.png")]) == [path]
    with pytest.raises(DataError, match=r"x\.png: this is neither a file nor a folder"):
        find_images([str(tmp_path / "x.png")])


# What the model sees.


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_model_is_given_what_it_was_evaluated_on(images, color, batch_size) -> None:
    model = Torch(color)
    list(predict(model, images, batch_size))
    files = ImageFiles([str(path) for path in images], [0] * len(images))
    loader = evaluation_loader(files, PREPROCESSING[color], batch_size=4, num_workers=0, trainer=None)
    expected = torch.cat([batch[0] for batch in loader])
    assert [len(batch) for batch in model.batches] == [len(part) for part in expected.split(batch_size)]
    torch.testing.assert_close(torch.cat(model.batches), expected, rtol=0, atol=0)


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", ["onnx", "archive"])
def test_what_is_shipped_sees_what_torch_sees(tmp_path, images, color, inside, kind) -> None:
    path = make_onnx(tmp_path, color, inside=inside)
    if kind == "archive":
        path = write_archive(path, tmp_path / "model.tar", name="a", heads=HEADS)
    shipped = list(predict(OnnxModel.open(path), images, batch_size=3))
    expected = list(predict(Torch(color), images))
    assert [prediction.path for prediction in shipped] == images
    for ours, theirs in zip(shipped, expected, strict=True):
        assert [entry.name for entry in ours.result.top] == [entry.name for entry in theirs.result.top]
        scores = [entry.score for entry in theirs.result.top]
        np.testing.assert_allclose([entry.score for entry in ours.result.top], scores, atol=1e-4)


@pytest.fixture
def deep_images(tmp_path):
    """The same picture with 12 bits, 8 bits, and as numbers of which white is 4095."""
    plain = save_image(tmp_path / "deep" / "plain.png", 1, mode="L")
    values = np.asarray(Image.open(plain)).astype(np.float32) * (4095 / 255)
    Image.fromarray(values.round().astype(np.uint16)).save(tmp_path / "deep" / "sensor.png")
    Image.fromarray(values).save(tmp_path / "deep" / "numbers.tif")
    return sorted((tmp_path / "deep").iterdir())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", ["torch", "onnx", "archive"])
def test_deep_images_are_read_as_in_training(tmp_path, deep_images, inside, kind) -> None:
    files = ImageFiles([str(path) for path in deep_images], [0] * 3, (0, 4095))
    [(batch, _)] = evaluation_loader(files, PREPROCESSING["DEEP"], batch_size=4, num_workers=0, trainer=None)
    with torch.inference_mode():
        expected = network()(batch).softmax(1).max(1).values
    path = make_onnx(tmp_path, "DEEP", inside=inside)
    if kind == "archive":
        path = write_archive(path, tmp_path / "model.tar", name="a", heads=HEADS)
    model = Torch("DEEP") if kind == "torch" else OnnxModel.open(path)
    found = list(predict(model, deep_images))
    assert [prediction.path for prediction in found] == deep_images
    scores = torch.tensor([prediction.result.top[0].score for prediction in found])
    torch.testing.assert_close(scores, expected, rtol=0, atol=0.02 if inside and kind != "torch" else 1e-4)
    torch.testing.assert_close(expected, expected[:1].expand(3), rtol=0, atol=0.02)  # all show the same
    pictures = [np.asarray(prediction.image.convert("L"), int) for prediction in found]
    assert abs(pictures[0] - pictures[1]).max() <= 1
    assert abs(pictures[0] - pictures[2]).max() <= 1


def test_deep_images_are_refused_by_a_model_of_8_bits(deep_images) -> None:
    said = []
    assert [prediction.path.name for prediction in predict(Torch(), deep_images, report=said.append)] == ["plain.png"]
    assert [line.split(": skipped")[0] for line in said] == [
        str(path) for path in deep_images if path.name != "plain.png"
    ]
    assert all("value_range is not set" in line for line in said)


def test_what_a_folder_has_besides_images_is_named(tmp_path, caplog) -> None:
    save_image(tmp_path / "a.gif", mode="P")
    save_image(tmp_path / ".hidden" / "b.png")
    (tmp_path / "c.mp4").write_text("")
    (tmp_path / "loop").symlink_to(".")
    assert find_images([str(tmp_path)]) == [tmp_path / "a.gif"]
    (line,) = caplog.messages
    assert line.removeprefix(f"{tmp_path}: not used: ").split("; ") == [
        "1 file of other formats (1 .mp4)",
        "1 folder reached twice or in a circle (loop)",
    ]


def test_the_classes_are_those_of_torch(images) -> None:
    preprocessing = PREPROCESSING["RGB"]
    [prediction] = predict(Torch(), images[:1])
    with torch.inference_mode():
        scores = network()(tensors.prepare(preprocessing, Image.open(images[0]))[None])[0].softmax(0)
    assert prediction.result.top[0].name == CLASS_NAMES[scores.argmax()]
    assert prediction.result.top[0].score == pytest.approx(scores.max().item(), rel=1e-5)


def test_files_that_cannot_be_read_are_named_and_left_out(tmp_path, images) -> None:
    broken, text = tmp_path / "broken.png", tmp_path / "text.jpg"
    broken.write_bytes(images[0].read_bytes()[:200])
    text.write_text("no image")
    said = []
    predictions = list(predict(Torch(), [broken, images[0], text, images[1]], 1, said.append))
    assert [prediction.path for prediction in predictions] == images[:2]
    assert [line.split(": skipped")[0] for line in said] == [str(broken), str(text)]
    assert "on_error" not in "".join(said)  # a setting that predict does not have
    with pytest.raises(DataError, match=r"None of 2 files can be read as an image, the first is .*broken\.png"):
        list(predict(Torch(), [broken, text], report=said.append))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": None}, "has no task in its metadata. Supported tasks: classification"),
        ({"task": "pose"}, 'is for the task "pose". Supported tasks: classification'),
        ({"task": "clasification"}, 'Did you mean "classification"'),
    ],
)
def test_a_task_that_nobody_decodes(images, changes, message) -> None:
    with pytest.raises(CuelightError, match=message):
        predict(Torch(**changes), images)


def test_a_model_that_tells_nothing_is_refused(images) -> None:
    model = Torch()
    model.metadata = None
    with pytest.raises(CuelightError, match="no metadata from Cuelight"):
        predict(model, images)
    model.metadata = type(describe())(fingerprint="f", task="classification")
    with pytest.raises(CuelightError, match="has no preprocessing metadata"):
        predict(model, images)


# Files.


def test_table_and_pictures(tmp_path, images) -> None:
    out = tmp_path / "out"
    assert write_predictions(predict(Torch(), images, 2), out) == len(images)
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    details = json.loads((out / "predictions.json").read_text())
    assert list(rows[0]) == ["path", "class", "score", "class_2", "score_2", "class_3", "score_3", "picture"]
    for row, entry, path, prediction in zip(rows, details, images, predict(Torch(), images, 2), strict=True):
        top = prediction.result.top
        assert row["path"] == entry["path"] == str(path)
        assert (row["class"], row["class_3"]) == (top[0].name, top[2].name)
        assert float(row["score"]) == pytest.approx(top[0].score, abs=1e-6)
        assert [(item["index"], item["score"]) for item in entry["top"]] == [(item.index, item.score) for item in top]
        assert Image.open(out / row["picture"]).format == "PNG"
    assert not list(out.rglob("*.partial"))


def test_pictures_of_equal_names_are_kept_apart(tmp_path) -> None:
    names = ["a/cat.png", "b/cat.png", "b/cat-2.png", "c/CAT.png", "a/cat.jpg"]
    images = [save_image(tmp_path / name, seed) for seed, name in enumerate(names)]
    write_predictions(predict(Torch(), images), tmp_path / "out", pictures="jpg")
    entries = json.loads((tmp_path / "out/predictions.json").read_text())
    pictures = [entry["picture"] for entry in entries]
    assert pictures[:2] == ["pictures/cat.jpg", "pictures/cat-2.jpg"]
    assert len({picture.lower() for picture in pictures}) == len(names)
    for entry, prediction in zip(entries, predict(Torch(), images), strict=True):
        with Image.open(tmp_path / "out" / entry["picture"]) as picture:
            assert picture.format == "JPEG"
            difference = np.asarray(picture, int) - np.asarray(prediction.picture(), int)
            assert abs(difference).mean() < 4


def test_no_pictures_and_no_images(tmp_path, images) -> None:
    write_predictions(predict(Torch(), images), tmp_path / "out", pictures=None)
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["predictions.csv", "predictions.json"]
    assert write_predictions([], tmp_path / "none") == 0
    assert json.loads((tmp_path / "none/predictions.json").read_text()) == []


def test_a_name_that_is_no_text(tmp_path, images) -> None:
    strange = os.fsencode(tmp_path) + b"/\xff.png"
    with open(strange, "wb") as file:  # noqa: PTH123 - the name is bytes
        file.write(images[0].read_bytes())
    write_predictions(predict(Torch(), find_images([str(tmp_path / "*.png")])), tmp_path / "out")
    assert json.loads((tmp_path / "out/predictions.json").read_text())[0]["path"].endswith("?.png")


def test_a_folder_that_cannot_be_written(tmp_path, images) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CuelightError, match=r"file/out/.*: this file cannot be written: .*file is a file"):
        write_predictions(predict(Torch(), images), tmp_path / "file" / "out")


# Pictures.


def classified(*scores):
    return Classification(tuple(ClassScore(index, f"class {index}", score) for index, score in enumerate(scores)))


@pytest.mark.parametrize(
    "size", [(1, 1), (28, 28), (319, 5), (320, 240), (640, 480), (4000, 3000), (5, 2000), (3000, 9)]
)
def test_every_image_becomes_a_readable_picture(size) -> None:
    picture = draw_classification(Image.new("RGB", size, "red"), classified(0.7, 0.2, 0.1))
    assert 320 <= picture.width <= 1024
    assert 120 <= picture.height <= 1200
    reds = np.all(np.asarray(picture) == (255, 0, 0), axis=2)
    assert reds.any()
    assert not reds[-100:].any()  # the band is below the image


def test_a_small_image_is_enlarged_without_smoothing() -> None:
    image = Image.fromarray(np.eye(4, dtype=np.uint8) * 255)
    picture = np.asarray(draw_classification(image, classified(1.0)).convert("L"))[:320]
    np.testing.assert_array_equal(picture, np.kron(np.eye(4) * 255, np.ones((80, 80))))


def test_bars_are_as_long_as_the_scores() -> None:
    picture = np.asarray(draw_classification(Image.new("RGB", (400, 50)), classified(0.5, 0.25, 0.0)))
    best, other, track = (37, 99, 235), (148, 163, 184), (229, 233, 240)
    rows = [row for row in picture if (row == track).all(axis=1).any()]
    lengths = {
        color: max((row == color).all(axis=1).sum() for row in rows) / (row_length(rows[0], (best, other, track)))
        for color in (best, other, track)
    }
    assert lengths[best] == pytest.approx(0.5, abs=0.02)
    assert lengths[other] == pytest.approx(0.25, abs=0.02)
    assert lengths[track] == pytest.approx(1, abs=0.02)


def row_length(row, colors):
    return sum((row == color).all(axis=1).sum() for color in colors)


def test_a_long_name_leaves_room_for_the_score() -> None:
    def draw(name):
        result = Classification((ClassScore(0, name, 0.5),))
        return np.asarray(draw_classification(Image.new("RGB", (320, 40)), result))

    np.testing.assert_array_equal(draw("w" * 500), draw("w" * 600))
    np.testing.assert_array_equal(draw("two\nlines"), draw("two lines"))
    right = slice(-80, None)
    np.testing.assert_array_equal(draw("w" * 500)[40:, right], draw("a")[40:, right])
