from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight.config import Part
from cuelight.data.datasets.mask_folder import MaskFolder
from cuelight.data.protocols import DescribesImages, NamesClasses
from cuelight.errors import DataError
from cuelight.images import tensors
from cuelight.images.preprocessing import IGNORE_INDEX
from support.checks import data_problems

NAMES = ["dark", "medium", "bright"]


def _set_up(path: Path, **params) -> MaskFolder:
    data = MaskFolder(path, **{"class_names": NAMES, "size": 24, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _lengths(data: MaskFolder) -> dict[str, int]:
    return {split: len(files) for split, files in data._splits.items()}


@pytest.fixture
def folder(tmp_path: Path, write_masks) -> Path:
    write_masks(tmp_path / "data" / "images", tmp_path / "data" / "masks", count=20)
    return tmp_path / "data"


def test_images_and_masks_are_loaded_together(folder: Path) -> None:
    data = _set_up(folder, resize="stretch", size=(48, 64))
    images, masks = next(iter(data.val_dataloader()))

    assert isinstance(data, NamesClasses)
    assert isinstance(data, DescribesImages)
    assert images.shape == (3, 3, 48, 64)
    assert images.dtype == torch.float32
    assert masks.shape == (3, 48, 64)
    assert masks.dtype == torch.int64
    brightness = tensors.denormalize(data.preprocessing, images).mean(1) * 255
    assert ((brightness > 160) == (masks == 2)).float().mean() > 0.97


def test_one_folder_is_split(folder: Path) -> None:
    data = _set_up(folder, val_split=0.2, test_split=0.1)

    assert _lengths(data) == {"train": 14, "val": 4, "test": 2}
    paths = [path for files in data._splits.values() for path in files.paths]
    assert len(set(paths)) == 20
    assert all(
        Path(path).stem == Path(mask).stem
        for files in data._splits.values()
        for path, mask in zip(files.paths, files.masks, strict=True)
    )
    assert _set_up(folder, seed=1)._splits["val"].paths == _set_up(folder)._splits["val"].paths
    assert _set_up(folder, split_seed=1)._splits["val"].paths != _set_up(folder)._splits["val"].paths


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_split_folders_are_used_as_they_are(layout: str, tmp_path: Path, write_masks) -> None:
    for number, split in enumerate(("train", "valid", "test")):
        images, masks = (tmp_path / layout.format(split=split, kind=kind) for kind in ("images", "masks"))
        write_masks(images, masks, count=4 + number)

    assert _lengths(_set_up(tmp_path)) == {"train": 4, "val": 5, "test": 6}


def test_folders_within_are_paired_by_their_names(tmp_path: Path, write_masks) -> None:
    for place in ("north", "south"):
        write_masks(tmp_path / "images" / place, tmp_path / "masks" / place, count=3)
    data = _set_up(tmp_path, test_split=0)

    assert sum(_lengths(data).values()) == 6
    for files in data._splits.values():
        for path, mask in zip(files.paths, files.masks, strict=True):
            assert Path(path).parts[-2:-1] == Path(mask).parts[-2:-1]


def test_class_names_may_stand_in_a_file(folder: Path) -> None:
    (folder / "classes.txt").write_text("dark\nmedium\n\nbright\n")

    assert _set_up(folder, class_names=None).class_names == NAMES


def test_without_class_names_the_error_shows_how_they_are_given(folder: Path) -> None:
    with pytest.raises(DataError, match=r"Set data\.params\.class_names to .*, or write the names to .*classes\.txt"):
        _set_up(folder, class_names=None)
    (folder / "classes.txt").write_text("dark\ndark\n")
    with pytest.raises(DataError, match=r"classes\.txt: duplicate class names: dark"):
        _set_up(folder, class_names=None)


def test_letterbox_and_augmentation_bring_in_no_class(folder: Path) -> None:
    spin = [Part(name="RandomRotation", params={"degrees": [30, 30]})]
    data = _set_up(folder, resize="letterbox", transforms=spin)
    boxed = torch.cat([masks for _, masks in data.val_dataloader()])
    spun = torch.cat([masks for _, masks in data.train_dataloader()])

    assert (boxed[:, :3] == IGNORE_INDEX).all()
    assert (boxed[:, -3:] == IGNORE_INDEX).all()
    assert (boxed[:, 3:-3] != IGNORE_INDEX).all()
    assert (spun[:, 12, 1] == IGNORE_INDEX).float().mean() == 0
    assert (spun[:, 4, 1] == IGNORE_INDEX).all()


def test_an_image_without_mask_is_named_or_left_out(folder: Path, caplog) -> None:
    for number in (3, 5):
        (folder / "masks" / f"{number:03}.png").unlink()
    message = r"003\.jpg: this is an image without a mask, the first of 2; expected .*masks/003\.png\. Add"
    with pytest.raises(DataError, match=message):
        _set_up(folder)

    with caplog.at_level(logging.WARNING):
        assert sum(_lengths(_set_up(folder, on_error="skip")).values()) == 18
    assert "skipped as an image without a mask" in caplog.text


def test_a_mask_without_image_is_named_or_left_out(folder: Path) -> None:
    (folder / "images" / "003.jpg").unlink()
    with pytest.raises(
        DataError, match=r"003\.png: this is a mask without an image; expected an image of this name in"
    ):
        _set_up(folder)

    assert sum(_lengths(_set_up(folder, on_error="skip")).values()) == 19


def _without(*names: str):
    return lambda folder: [shutil.rmtree(folder / name) for name in names]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("masks"), r"data: it contains images\. Expected the folders images and masks"),
        (lambda folder: shutil.move(folder / "images", folder / "VOCdevkit"), "VOCSegmentation reads the layout of"),
        (_without("images", "masks"), r"data: it contains nothing\. Expected"),
        (lambda folder: (folder / "masks").rename(folder / "labels"), r"it contains images, labels\. Expected"),
        (lambda folder: [path.unlink() for path in (folder / "images").iterdir()], "images: there is no image in"),
        (lambda folder: [path.unlink() for path in (folder / "masks").iterdir()], r"expected .*masks/000\.png"),
        (lambda folder: (folder / "images" / "train").mkdir(), r"masks/train: there is no such folder\. Expected"),
    ],
)
def test_another_layout_is_told_with_the_ones_that_work(change, message: str, folder: Path) -> None:
    change(folder)
    with pytest.raises(DataError, match=message):
        _set_up(folder)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        _set_up(tmp_path / "nowhere")


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_value_that_is_no_class_names_the_file(num_workers: int, folder: Path, caplog) -> None:
    data = _set_up(folder, num_workers=num_workers, class_names=NAMES)
    mask = Path(data._splits["val"].masks[1])
    Image.fromarray(np.full((48, 64), 7, dtype=np.uint8)).save(mask)

    with pytest.raises(DataError, match=r"the mask cannot be read: it contains 7; expected .* 0 to 2") as error:
        list(data.val_dataloader())
    assert str(error.value).startswith(str(mask))
    skipping = _set_up(folder, num_workers=num_workers, on_error="skip")
    with caplog.at_level(logging.WARNING):
        assert sum(len(masks) for _, masks in skipping.val_dataloader()) == 2
    assert "val: skipped 1 of 3 images" in caplog.text


def test_white_for_a_class_is_refused(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        Image.fromarray(((np.asarray(Image.open(path)) > 0) * 255).astype(np.uint8)).save(path)

    with pytest.raises(DataError, match="contain only class 0"):
        _set_up(folder, class_names=["ground", "thing"])


def test_a_missing_split_says_what_to_do(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"no images for test\. Add a folder test with images and masks, set test_split"
    ):
        _set_up(folder, test_split=0).test_dataloader()


def test_a_resumed_epoch_gives_the_masks_that_were_to_come(folder: Path) -> None:
    whole, loader, resumed = (
        _set_up(folder, transforms=[Part(name="RandomAffine", params={"degrees": 20})]).train_dataloader()
        for _ in range(3)
    )
    expected = list(whole)
    batches = iter(loader)
    next(batches)
    resumed.load_state_dict(loader.state_dict())

    for (images, masks), (same_images, same_masks) in zip(resumed, expected[1:], strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(masks, same_masks)


def _change_mask(folder: Path) -> None:
    Image.fromarray(np.zeros((48, 64), dtype=np.uint8)).save(folder / "masks" / "004.png")


def _swap_masks(folder: Path) -> None:
    one, other = folder / "masks" / "001.png", folder / "masks" / "002.png"
    one.rename(folder / "masks" / "x"), other.rename(one), (folder / "masks" / "x").rename(other)


def _change_image(folder: Path) -> None:
    Image.new("RGB", (64, 48)).save(folder / "images" / "004.jpg")


@pytest.mark.parametrize("change", [_change_mask, _swap_masks, _change_image])
def test_any_change_of_a_mask_or_an_image_is_another_fingerprint(change, folder: Path) -> None:
    before = _set_up(folder).fingerprint()
    assert _set_up(folder, size=10, seed=1).fingerprint() == before
    assert _set_up(folder, class_names=["a", "b", "c"]).fingerprint() != before
    assert _set_up(folder, split_seed=4).fingerprint() != before
    change(folder)
    assert _set_up(folder).fingerprint() != before


def test_wrong_parameters_are_found_before_anything_is_read() -> None:
    params = {"path": "nowhere", "class_names": ["a", "b", "a"], "transforms": [{"name": "TrivialAugmentWide"}]}
    problems = list(map(str, data_problems({"name": "MaskFolder", "params": params})))

    assert [problem.partition(":")[0] for problem in problems] == [
        "data.params.transforms.0.name",
        "data.params.class_names",
    ]
    missing = data_problems({"name": "MaskFolder", "params": {"sise": 3}})
    assert [problem.path for problem in missing] == ["data.params.sise", "data.params.path"]


def test_what_is_not_used_is_named_in_one_line(folder: Path, caplog) -> None:
    (folder / "images" / "notes.txt").write_text("")
    (folder / "masks" / "000.json").write_text("{}")
    (folder / "depth").mkdir()
    (folder / "classes.txt").write_text("dark\nmedium\nbright\n")
    _set_up(folder)

    (line,) = caplog.messages
    assert line.removeprefix(f"{folder}: not used: ").split("; ") == [
        "2 files of other formats (1 .json, 1 .txt)",
        "1 folder that the layout does not know (depth)",
    ]


def test_a_split_that_is_spelt_otherwise_is_named(tmp_path: Path, write_masks, caplog) -> None:
    for split in ("train", "Val"):
        write_masks(tmp_path / "images" / split, tmp_path / "masks" / split)
    _set_up(tmp_path)

    assert "2 folders that the layout does not know (images/Val, masks/Val)" in caplog.text


def test_masks_in_a_format_that_changes_values_are_named(folder: Path, caplog) -> None:
    for path in sorted((folder / "masks").iterdir())[:2]:
        Image.open(path).save(path.with_suffix(".gif"))
        path.unlink()
    _set_up(folder, on_error="skip")

    assert "000.jpg: skipped as an image without a mask, the first of 2" in caplog.text
    assert "not used: 2 files of other formats (2 .gif)" in caplog.text


def test_two_masks_for_one_image_are_refused(folder: Path) -> None:
    Image.open(folder / "masks" / "003.png").save(folder / "masks" / "003.tif")
    with pytest.raises(
        DataError, match=r"003\.tif: there is a second mask for the same image, .*003\.png\. Remove one"
    ):
        _set_up(folder)


def test_a_link_to_above_is_not_followed(folder: Path, caplog) -> None:
    (folder / "images" / "loop").symlink_to("..")
    assert sum(_lengths(_set_up(folder)).values()) == 20
    assert "1 folder reached twice or in a circle (images/loop)" in caplog.text


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_photo_that_is_turned_without_its_mask_is_an_error(folder: Path, num_workers: int) -> None:
    data = _set_up(folder, num_workers=num_workers, size=(48, 64))
    turned = Path(data._splits["val"].paths[1])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(turned).save(turned, exif=exif)

    with pytest.raises(DataError, match=rf"the mask .* EXIF orientation is 1, but that of {turned} is 3"):
        list(data.val_dataloader())


def test_deep_images_are_scaled_by_the_value_range(folder: Path) -> None:
    expected = next(iter(_set_up(folder, mean=[0], std=[1], color="GRAY").val_dataloader()))[0]
    for path in (folder / "images").iterdir():
        deep = np.asarray(Image.open(path).convert("L"), np.float32) / 255
        Image.fromarray(deep).save(path.with_suffix(".tif"))
        path.unlink()
    data = _set_up(folder, mean=[0], std=[1], color="GRAY", value_range=[0, 1])

    torch.testing.assert_close(next(iter(data.val_dataloader()))[0], expected, rtol=0, atol=1 / 255)
