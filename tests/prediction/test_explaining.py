"""From image files to pictures of where a model looks: in Python, and as a command."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight import Run
from cuelight.cli.parser import build_parser
from cuelight.data.datasets.digits import load_digits
from cuelight.errors import CuelightError, DataError, ExplainError
from cuelight.explain.methods import METHODS
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing
from cuelight.prediction import explain, write_explanations
from support.digit_training import DigitData, DigitModel
from support.experiments import only_run, write_yaml
from support.explained import heat_maps
from support.processes import cuelight

CLASSES = ("four", "one", "seven")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DigitModel().eval()


def description(**changes):
    known = {"task": "classification", "class_names": tuple(DigitData.class_names)}
    return ModelMetadata("sha256:0", **(known | {"preprocessing": DigitData.preprocessing} | changes))


@pytest.fixture
def files(tmp_path):
    """Twenty digits as files, in colors and of another size, and one that is none."""
    images, _ = load_digits()
    paths = [tmp_path / "images" / f"{number:02}.png" for number in range(20)]
    paths[0].parent.mkdir()
    for path, image in zip(paths, images[::250], strict=True):
        Image.fromarray(image[0]).convert("RGB").save(path)
    (tmp_path / "images" / "05.png").write_bytes(b"no image")
    return paths


def test_images_are_prepared_as_in_evaluation_and_what_cannot_be_read_is_named(model, files) -> None:
    said = []
    found = list(explain(model, description(), files, layer="body.4", batch_size=3, report=said.append))
    readable = files[:5] + files[6:]
    assert [one.path for one in found] == readable
    assert len(said) == 1
    assert "05.png: skipped" in said[0]
    images, _ = load_digits()
    kept = torch.from_numpy(np.delete(images[::250], 5, axis=0))
    expected = heat_maps(model, tensors.prepare(DigitData.preprocessing, kept), "body.4", class_idx="predicted")
    for one, image, heat, index in zip(found, kept, expected.maps, expected.classes, strict=True):
        np.testing.assert_allclose(one.explained.heat, heat, rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(one.explained.image, image.numpy().repeat(3, 0).transpose(1, 2, 0))
        assert one.explained.name == str(index.item())
        assert one.title == "Grad-CAM of body.4 (6 x 6)"


def test_the_black_of_a_letterbox_is_no_part_of_a_segmentation(tmp_path) -> None:
    file = tmp_path / "tall.png"
    Image.new("L", (8, 32), 255).save(file)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Identity())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1))
        network[0].bias.copy_(torch.tensor([0.5, -0.5]))
    preprocessing = Preprocessing((32, 32), (0.0,), (1.0,), "GRAY", "letterbox")
    known = description(task="segmentation", class_names=("black", "white"), preprocessing=preprocessing)
    (found,) = explain(network, known, [file], layer="0")
    assert (found.explained.name, found.explained.score) == ("white", "100.0% of the pixels")


@pytest.mark.parametrize(("asked", "name"), [(7, "7"), ("7", "7"), ("predicted", None)])
def test_a_class_by_index_and_by_name(model, files, asked, name) -> None:
    found = list(explain(model, description(), files[:2], class_idx=asked))
    assert {one.explained.name for one in found} == {name} or name is None
    assert all("predicted" not in one.explained.note for one in found) == (name is None)


def test_an_index_as_text_where_no_class_is_called_so(model, files) -> None:
    named = description(class_names=tuple("abcdefghij"))
    assert next(explain(model, named, files, class_idx="3")).explained.name == "d"
    assert next(explain(model, named, files, class_idx="d")).explained.name == "d"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"layer": "body.40"}, "body.40"),
        ({"class_idx": "eleven"}, '9 "9"'),
        ({"class_idx": "label"}, "no label"),
        ({"output": "boxes"}, "boxes"),
        ({"method": "gradcan"}, "gradcam"),
    ],
)
def test_what_is_wrong_is_said_before_an_image_is_read(model, tmp_path, options, text) -> None:
    with pytest.raises(CuelightError, match=text):
        explain(model, description(), [tmp_path / "missing.png"], **options)


def test_what_is_not_known_is_said(model, files, tmp_path) -> None:
    with pytest.raises(CuelightError, match="preprocessing"):
        explain(model, description(preprocessing=None), files)
    with pytest.raises(DataError, match="None of 1 files"):
        list(explain(model, description(), [tmp_path / "missing.png"], report=str))
    with pytest.raises(ExplainError, match="tracking"):
        explain(model, description(task="tracking"), files)


def test_a_picture_for_each_image_and_overviews(model, files, tmp_path) -> None:
    found = list(explain(model, description(), files, report=str))
    out = tmp_path / "out"
    assert write_explanations(iter(found), out) == 19
    assert sorted(path.name for path in out.iterdir()) == ["overview_1.png", "overview_2.png", "pictures"]
    names = sorted(path.name for path in (out / "pictures").iterdir())
    assert names == [path.name for path in files if path.name != "05.png"]
    with Image.open(out / "pictures" / "03.png") as picture:
        assert picture.tobytes() == found[3].picture().tobytes()
    with Image.open(out / "overview_1.png") as first, Image.open(out / "overview_2.png") as second:
        assert first.width > second.width  # 12 and 7 images


def test_one_image_needs_no_overview(model, files, tmp_path) -> None:
    assert write_explanations(explain(model, description(), files[:1]), tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pictures"]


def test_overviews_of_an_earlier_command_do_not_stay(model, files, tmp_path) -> None:
    for count, overviews in ((20, ["overview_1.png", "overview_2.png"]), (3, ["overview_1.png"]), (1, [])):
        write_explanations(explain(model, description(), files[:count], report=str), tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == overviews


def test_images_of_equal_names_are_kept_apart(model, files, tmp_path) -> None:
    twin = shutil.copy(files[3], tmp_path / files[0].name)
    write_explanations(explain(model, description(), [files[0], twin]), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir()) == ["00-2.png", "00.png"]


def test_a_folder_that_cannot_be_written(model, files, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CuelightError, match=r"file/out/.*: this file cannot be written: .*file is a file"):
        write_explanations(explain(model, description(), files), tmp_path / "file" / "out")


# The command.


def test_the_command_offers_every_method() -> None:
    actions = build_parser()._subparsers._group_actions[0].choices["explain"]._actions
    assert next(action.choices for action in actions if action.dest == "method") == tuple(METHODS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on class folders with heat maps on the way; the images are elsewhere when it is over."""
    folder = tmp_path_factory.mktemp("explained")
    images, labels = load_digits()
    for name, digit in zip(CLASSES, (4, 1, 7), strict=True):
        for number, image in enumerate(images[labels == digit][:30]):
            path = folder / "images" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).convert("RGB").save(path)
    callback = {"name": "GradCamCallback", "params": {"target_layer": "auto", "class_idx": "label"}}
    tree = {
        "name": "looked_at",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "ImageFolder", "params": {"path": "images", "size": 32}},
        "trainer": {
            "epochs": 2, "batch_size": 16, "num_workers": 0, "accelerator": "cpu", "callbacks": [callback],
        },
    }  # fmt: skip
    done = cuelight("train", write_yaml(folder / "looked_at.yaml", tree), folder=folder)
    assert done.code == 0, done.err
    shutil.move(folder / "images", folder / "moved")
    return only_run(folder / "runs"), folder / "moved"


@pytest.mark.slow
def test_a_training_leaves_pictures_that_its_report_shows(trained) -> None:
    directory, _ = trained
    assert len(list((directory / "gradcam").glob("epoch_000[12]_step_*_val_0.jpg"))) == 2
    page = Run.load(directory).report().read_text()
    assert page.count("data:image/jpeg;base64,") == 2


@pytest.mark.slow
def test_a_run_and_a_checkpoint_alone_give_the_same_pictures(trained, tmp_path) -> None:
    directory, images = trained
    checkpoint = shutil.copy(directory / "checkpoints" / "best_accuracy.ckpt", tmp_path / "alone.ckpt")
    (images / "one" / "broken.png").write_bytes(b"no image")
    done = cuelight("explain", directory, images / "one", folder=tmp_path)
    assert done.code == 0, done.err
    assert "broken.png: skipped" in done.err
    assert "and 10 more images" in done.out
    assert "largest influence" in done.out
    assert cuelight("explain", checkpoint, images / "one", "--quiet", folder=tmp_path).out == ""
    pictures = [sorted((folder / "explain" / "pictures").iterdir()) for folder in (directory, tmp_path)]
    names = [[path.name for path in paths] for paths in pictures]
    assert names[0] == names[1]
    assert len(pictures[0]) == 30
    for one, other in zip(*pictures, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_the_layers_of_a_checkpoint_alone_without_the_data(trained, tmp_path) -> None:
    checkpoint = shutil.copy(trained[0] / "checkpoints" / "best_accuracy.ckpt", tmp_path / "alone.ckpt")
    done = cuelight("layers", checkpoint, folder=tmp_path)
    assert done.code == 0, done.err
    assert "(1, 3)" in done.out  # three classes, as the checkpoint says


@pytest.mark.slow
def test_layer_class_and_method_are_chosen_on_the_command_line(trained, tmp_path) -> None:
    directory, images = trained
    image = images / "four" / "0.png"
    chosen = ["--layer", "-60", "--class", "seven", "--method", "eigencam", "--output", "here"]
    done = cuelight("explain", directory, image, *chosen, folder=tmp_path)
    assert done.code == 0, done.err
    assert "seven" in done.out
    assert [path.name for path in (tmp_path / "here" / "pictures").iterdir()] == ["0.png"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere", "."], "nowhere: there is no such run directory or checkpoint"),
        (["{run}", "missing/*.png"], "missing/*.png"),
        (["{run}", "{images}", "--layer", "backbone.layer9"], 'Did you mean "backbone.layer'),
        (["{run}", "{images}", "--class", "sevn"], 'Did you mean "seven"?'),
        (["{run}/test/results.json", "{images}"], "an exported model has no gradients"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_explained_is_said(trained, tmp_path, arguments, text) -> None:
    places = {"run": trained[0], "images": trained[1] / "four"}
    done = cuelight("explain", *(argument.format(**places) for argument in arguments), folder=tmp_path)
    assert done.code != 0
    assert text in done.err
    assert "Traceback" not in done.err
