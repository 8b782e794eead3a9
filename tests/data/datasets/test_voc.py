from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cuelight import registry
from cuelight.data.datasets.voc import VOC_CLASSES, VOCSegmentation
from cuelight.errors import DataError
from cuelight.images import tensors
from cuelight.images.preprocessing import IGNORE_INDEX


def _set_up(path: Path, **params) -> VOCSegmentation:
    data = VOCSegmentation(path, **{"size": 24, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _names(data: VOCSegmentation) -> dict[str, list[str]]:
    return {split: [Path(path).stem for path in files.paths] for split, files in data._splits.items()}


def _list(root: Path, split: str, *numbers: int) -> None:
    names = "".join(f"{number:03}\n" for number in numbers)
    (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(names)


@pytest.fixture
def voc(tmp_path: Path, write_masks) -> Path:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    write_masks(root / "JPEGImages", root / "SegmentationClass", count=10)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    _list(root, "train", 5, 0, 1, 2)
    _list(root, "val", 7, 8)
    _list(root, "trainval", 5, 0, 1, 2, 7, 8)
    Image.new("RGB", (8, 8)).save(root / "JPEGImages" / "test_image.jpg")
    (root / "ImageSets" / "Segmentation" / "test.txt").write_text("test_image\n")  # without a mask, as published
    return root


@pytest.mark.parametrize("above", [0, 1, 2])
def test_the_lists_name_the_images_of_each_split(voc: Path, above: int) -> None:
    data = _set_up([voc, *voc.parents][above])

    assert _names(data) == {"train": ["000", "001", "002", "005"], "val": ["007", "008"]}
    for files in data._splits.values():
        assert [Path(mask).stem for mask in files.masks] == [Path(path).stem for path in files.paths]


def test_images_and_masks_are_loaded_together(voc: Path) -> None:
    data = _set_up(voc, resize="letterbox")
    images, masks = next(iter(data.val_dataloader()))

    assert data.class_names == list(VOC_CLASSES)
    assert len(data.class_names) == 21
    assert images.shape == (2, 3, 24, 24)
    assert set(masks.unique().tolist()) == {0, 1, 2, IGNORE_INDEX}
    inside = masks != IGNORE_INDEX
    brightness = tensors.denormalize(data.preprocessing, images).mean(1) * 255
    assert ((brightness > 160) == (masks == 2))[inside].float().mean() > 0.93


def test_test_images_with_masks_are_the_test(voc: Path) -> None:
    _list(voc, "test", 3, 4)

    assert _names(_set_up(voc))["test"] == ["003", "004"]


def test_what_is_missing_is_split_off(voc: Path) -> None:
    (voc / "ImageSets" / "Segmentation" / "val.txt").unlink()
    names = _names(_set_up(voc, val_split=0.25, test_split=0.25))

    assert {split: len(listed) for split, listed in names.items()} == {"train": 2, "val": 1, "test": 1}


COLORS = {"sky": (0, 0, 0), "tree": (250, 50, 83), "road": (36, 179, 83)}


def _export_of_cvat(voc: Path, lists: tuple[str, ...] = ("default",), palette: bool = False) -> None:
    """Write the masks in the colors of labelmap.txt, as the export "Segmentation mask 1.1" does."""
    label_map = "".join(f"{name}:{','.join(map(str, color))}::\n" for name, color in COLORS.items())
    (voc / "labelmap.txt").write_text(f"# label:color_rgb:parts:actions\n{label_map}")
    folder = voc / "ImageSets" / "Segmentation"
    for file in folder.iterdir():
        file.unlink()
    for number, name in enumerate(lists):
        (folder / f"{name}.txt").write_text("".join(f"{i:03}\n" for i in range(number, 10, len(lists))))
    for path in sorted((voc / "SegmentationClass").iterdir()):
        with Image.open(path) as image:
            classes = np.asarray(image)
        colored = Image.fromarray(np.array(list(COLORS.values()), np.uint8)[classes])
        (colored.quantize(3) if palette else colored).save(path)


@pytest.mark.parametrize("palette", [False, True])
def test_masks_of_cvat_are_read_by_their_colors(voc: Path, palette: bool) -> None:
    expected = [np.asarray(Image.open(path)) for path in sorted((voc / "SegmentationClass").iterdir())]
    _export_of_cvat(voc, palette=palette)
    data = _set_up(voc, val_split=0.2)

    assert data.class_names == list(COLORS)
    assert {split: len(files) for split, files in data._splits.items()} == {"train": 8, "val": 2}
    for files in data._splits.values():
        for index, path in enumerate(files.paths):
            assert np.array_equal(files[index][1].numpy(), expected[int(Path(path).stem)])


def test_lists_of_a_project_in_cvat_are_the_splits(voc: Path) -> None:
    _export_of_cvat(voc, ("Train", "Validation", "Test"))

    assert {split: len(names) for split, names in _names(_set_up(voc)).items()} == {"train": 4, "val": 3, "test": 3}


def test_class_names_choose_the_order_of_colors(voc: Path) -> None:
    _export_of_cvat(voc)
    usual, other = _set_up(voc), _set_up(voc, class_names=["road", "tree", "sky"])
    assert np.array_equal(usual._splits["train"][0][1], 2 - other._splits["train"][0][1])

    with pytest.raises(DataError, match=r"labelmap\.txt has the classes sky, tree, road, but data\.params"):
        _set_up(voc, class_names=["sky", "tree", "lake"])


def test_a_color_of_no_class_is_named_and_that_of_borders_ignored(voc: Path) -> None:
    _export_of_cvat(voc)
    mask = Image.new("RGB", (64, 48), (224, 224, 192))
    mask.save(voc / "SegmentationClass" / "000.png")
    data = _set_up(voc, val_split=0.2)
    split, index = next((split, files.paths.index(path)) for split, files in data._splits.items()
                        for path in files.paths if path.endswith("000.jpg"))  # fmt: skip
    assert set(data._splits[split][index][1].unique().tolist()) == {IGNORE_INDEX}

    mask.putpixel((3, 4), (1, 2, 3))
    mask.save(voc / "SegmentationClass" / "000.png")
    with pytest.raises(DataError, match=r"000\.png: the mask cannot be read: it contains the color 1,2,3, which"):
        data._splits[split][index]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat", "expected a name and a color such as cat:255,0,0:: in each line, got cat"),
        ("cat:1,2", "expected a name and a color"),
        ("cat:1,2,256::", "expected a name and a color"),
        ("cat:250,50,83::", "the name or the color of cat is there twice"),
        ("sky:1,2,3::", "the name or the color of sky is there twice"),
    ],
)
def test_a_wrong_label_map_is_refused(voc: Path, line: str, message: str) -> None:
    _export_of_cvat(voc)
    file = voc / "labelmap.txt"
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises(DataError, match=rf"labelmap\.txt: {message}"):
        _ = VOCSegmentation(voc).class_names


def test_trainval_serves_where_there_is_no_train(voc: Path) -> None:
    (voc / "ImageSets" / "Segmentation" / "train.txt").unlink()
    names = _names(_set_up(voc, val_split=0.3))

    assert sorted(names["train"] + names["val"]) == ["000", "001", "002", "005", "007", "008"]


def test_other_classes_have_names_of_their_own(voc: Path) -> None:
    assert _set_up(voc, class_names=["dark", "medium", "bright"]).class_names == ["dark", "medium", "bright"]
    with pytest.raises(DataError, match=r"the mask cannot be read: it contains 2; expected .* 0 to 1"):
        list(_set_up(voc, class_names=["dark", "medium"]).val_dataloader())


def test_a_name_without_image_or_mask_is_told_or_left_out(voc: Path, caplog) -> None:
    (voc / "SegmentationClass" / "001.png").unlink()
    message = r"train: 1 of 4 names have no image or no mask, such as 001, which is missing in Segmentation"
    with pytest.raises(DataError, match=message):
        _set_up(voc)

    with caplog.at_level(logging.WARNING):
        assert _names(_set_up(voc, on_error="skip"))["train"] == ["000", "002", "005"]
    assert "1 of 4 names have no image or no mask: skipped, such as 001" in caplog.text


def test_another_layout_is_told(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ImageSets: there is no ImageSets/Segmentation\. Expected the folders JPEGI"):
        _set_up(voc / "ImageSets")
    (tmp_path / "VOCdevkit" / "VOC2007" / "ImageSets" / "Segmentation").mkdir(parents=True)
    with pytest.raises(DataError, match=r"it contains .*VOC2007 and .*VOC2012\. Set data\.params\.path to one of them"):
        _set_up(tmp_path)
    (voc / "JPEGImages").rename(voc / "Images")
    with pytest.raises(DataError, match="JPEGImages: there is no such folder"):
        _set_up(voc)


def test_without_test_the_error_says_what_to_do(voc: Path) -> None:
    with pytest.raises(
        DataError, match=r"no images for test\. Add ImageSets/Segmentation/test\.txt .* or set test_split"
    ):
        _set_up(voc).test_dataloader()


def test_a_file_may_set_every_parameter() -> None:
    params = {"path": "voc", "size": [300, 400], "resize": "letterbox", "val_split": 0.1, "on_error": "skip"}
    assert registry.data.problems({"name": "VOCSegmentation", "params": params}, "data") == []
    data = registry.data.build({"name": "VOCSegmentation", "params": params}, batch_size=3)
    assert (data.batch_size, data.preprocessing.size, data.test_split) == (3, (300, 400), 0.0)
    (problem,) = registry.data.problems({"name": "VOCSegmentation", "params": {"path": "voc", "sizes": 3}}, "data")
    assert 'Did you mean "size"?' in str(problem)


def test_fingerprint_sees_the_lists(voc: Path) -> None:
    before = _set_up(voc).fingerprint()
    _list(voc, "val", 7, 9)
    assert _set_up(voc).fingerprint() != before


def test_what_is_not_used_is_named_in_one_line(voc: Path, caplog) -> None:
    (voc / "Annotations").mkdir()
    (voc / "JPEGImages" / "notes.txt").write_text("")
    (voc / "SegmentationClass" / ".old.png").write_text("")
    _set_up(voc)

    assert caplog.messages == [f"{voc}: not used: 1 file of other formats (1 .txt)"]


def test_two_files_of_one_name_are_refused(voc: Path) -> None:
    Image.open(voc / "JPEGImages" / "000.jpg").save(voc / "JPEGImages" / "000.png")
    with pytest.raises(DataError, match=r"000\.png: there is a second file of this name, .*\.jpg\. Rename or remove"):
        _set_up(voc)


def test_deep_images_need_a_value_range(voc: Path) -> None:
    for path in (voc / "JPEGImages").iterdir():
        Image.open(path).convert("L").convert("I;16").save(path.with_suffix(".png"))
        path.unlink()
    with pytest.raises(DataError, match="value_range is not set"):
        list(_set_up(voc).val_dataloader())
    assert next(iter(_set_up(voc, value_range=[0, 255]).val_dataloader()))[0].shape == (2, 3, 24, 24)


def test_a_list_that_is_a_pipe_is_not_replaced_by_another(voc: Path) -> None:
    file = voc / "ImageSets" / "Segmentation" / "train.txt"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match=r"train\.txt: .* not a file"):
        _set_up(voc)
