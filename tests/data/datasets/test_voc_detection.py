from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cuelight.data.datasets.voc_detection import VOCDetection
from cuelight.errors import DataError
from support.box_files import NAMES, SPLITS, write_coco, write_voc, write_voc_file, write_yolo
from support.box_scenes import overlapping_scene


def _set_up(path: Path, **params: Any) -> VOCDetection:
    data = VOCDetection(path, **{"size": (96, 128), "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _names(data: VOCDetection) -> dict[str, list[str]]:
    return {split: [Path(path).stem for path in files.paths] for split, files in data._splits.items()}


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "VOCdevkit" / "VOC2012")


@pytest.mark.parametrize("above", [0, 1, 2])
def test_images_and_boxes_are_loaded_together(voc: Path, above: int) -> None:
    data = _set_up([voc, *voc.parents][above])

    assert data.class_names == sorted(NAMES)
    assert _names(data) == {split: [f"{seed:03}" for seed in seeds] for split, seeds in SPLITS.items()}
    for index, seed in enumerate((9, 10)):
        expected, target = overlapping_scene(seed)[1], data._splits["test"][index][1]
        assert torch.equal(target["boxes"], expected["boxes"])
        assert [data.class_names[i] for i in target["labels"]] == [NAMES[i] for i in expected["labels"]]


def _roboflow(voc: Path) -> None:
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        (voc / folder).mkdir()
        for seed in SPLITS[split]:
            for file in (f"JPEGImages/{seed:03}.png", f"Annotations/{seed:03}.xml"):
                shutil.move(voc / file, voc / folder)
    for folder in ("JPEGImages", "Annotations", "ImageSets"):
        shutil.rmtree(voc / folder)


def _cvat(voc: Path) -> None:
    lists = voc / "ImageSets" / "Main"
    (lists / "default.txt").write_text("".join((lists / f"{split}.txt").read_text() for split in SPLITS))
    for split in SPLITS:
        (lists / f"{split}.txt").unlink()


def _cvat_project(voc: Path) -> None:
    lists = voc / "ImageSets" / "Main"
    for split, name in (("train", "Train"), ("val", "Validation"), ("test", "Test")):
        (lists / f"{split}.txt").rename(lists / f"{name}.txt")
    (voc / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nred:255,0,0::\n")


def _one_folder(voc: Path) -> None:
    shutil.rmtree(voc / "ImageSets")


@pytest.mark.parametrize("change", [_roboflow, _cvat, _cvat_project, _one_folder])
def test_exports_of_other_tools_are_read_as_they_are(voc: Path, change: Any, caplog: Any) -> None:
    change(voc)
    data = _set_up(voc, val_split=0.2, test_split=0.2)

    assert list(data._splits) == ["train", "val", "test"]
    assert sum(map(len, data._splits.values())) == 11
    assert "not used" not in caplog.text


def test_difficult_objects_are_ignored(voc: Path) -> None:
    file = voc / "Annotations" / "000.xml"
    file.write_text(file.read_text().replace("<difficult>0", "<difficult>1", 1))
    target = _set_up(voc)._splits["train"][0][1]

    assert target["crowd"].tolist() == [True, *[False] * 7]


def test_parts_and_missing_sizes_do_not_matter(voc: Path) -> None:
    file = voc / "Annotations" / "000.xml"
    before = _set_up(voc)._splits["train"][0][1]
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    text = file.read_text().replace("</object>", f"{part}</object>").replace("<width>128", "<width>0")
    file.write_text(text)
    after = _set_up(voc)._splits["train"][0][1]

    assert torch.equal(after["boxes"], before["boxes"])


def test_the_test_of_the_challenge_has_no_annotations(voc: Path) -> None:
    for seed in SPLITS["test"]:
        (voc / "Annotations" / f"{seed:03}.xml").unlink()

    assert set(_names(_set_up(voc, test_split=0))) == {"train", "val"}


def _object(name: str = "red", box: tuple[str, ...] = ("1", "1", "9", "9")) -> str:
    edges = "".join(f"<{e}>{v}</{e}>" for e, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return (
        "<annotation><size><width>128</width><height>96</height></size>"
        f"<object><name>{name}</name><bndbox>{edges}</bndbox></object></annotation>"
    )


BOMB = '<!DOCTYPE x [<!ENTITY a "' + "a" * 1000 + '">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in ("ab", "bc", "cd", "de", "ef", "fg")
) + "]><annotation>&g;</annotation>"  # fmt: skip
WRONG = {
    "no name": (_object(name=" "), "object 1: it has no name"),
    "negative size": (_object(box=("5", "5", "3", "9")), "object 1: its box has no size"),
    "words": (_object(box=("5", "5", "left", "9")), "object 1: the coordinates of its box"),
    "missing edge": (_object().replace("xmax", "xmin"), "object 1: the coordinates of its box"),
    "NaN": (_object(box=("5", "5", "nan", "9")), "object 1: the coordinates of its box"),
    "outside": (_object(box=("500", "5", "520", "9")), "object 1: its box, .*, is outside of the image"),
    "another root": ("<html></html>", "this is not an annotation in XML: it begins with <html>"),
    "not XML": ("<annotation><object>", "this is not an annotation in XML: no element found"),
    "empty": ("", "this is not an annotation in XML"),
    "entities": (BOMB, "this is not an annotation in XML: it has a document type"),
    "external": ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "it has a document type"),
    "encoding": ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "this is not an annotation in XML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_annotation_is_named_or_skipped_and_counted(voc: Path, name: str, caplog: Any) -> None:
    text, message = WRONG[name]
    (voc / "Annotations" / "001.xml").write_text(text)
    with pytest.raises(DataError, match=rf"001\.xml: (.*: )?{message}.*on_error: skip"):
        _set_up(voc)

    with caplog.at_level(logging.WARNING):
        data = _set_up(voc, on_error="skip")
    assert "skipped 1 images or objects with wrong annotations" in caplog.text
    assert len(data._splits["train"]) == (6 if "object 1" in message else 5)


def test_deep_nesting_and_other_encodings_are_read(voc: Path) -> None:
    file = voc / "Annotations" / "000.xml"
    text = file.read_text()
    file.write_text(text.replace("<annotation>", f"<annotation>{'<a>' * 100_000}{'</a>' * 100_000}"))
    (voc / "Annotations" / "001.xml").write_bytes(
        ('<?xml version="1.0" encoding="utf-16"?>' + _object("r\u00f6t")).encode("utf-16")
    )

    assert "r\u00f6t" in _set_up(voc).class_names


def test_names_in_lists_may_have_spaces_folders_and_flags(voc: Path) -> None:
    (voc / "JPEGImages" / "000.png").rename(voc / "JPEGImages" / "a b.png")
    (voc / "Annotations" / "000.xml").rename(voc / "Annotations" / "a b.xml")
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a b\r\nsub/001\n002  1\n003 -1\n")

    assert _names(_set_up(voc))["train"] == ["001", "002", "003", "a b"]


def test_a_pipe_is_refused(voc: Path) -> None:
    (voc / "Annotations" / "001.xml").unlink()
    os.mkfifo(voc / "Annotations" / "001.xml")
    with pytest.raises(DataError, match=r"001\.xml: cannot be read: it is a pipe"):
        _set_up(voc)
    assert "001" not in _names(_set_up(voc, on_error="skip"))["train"]


@pytest.mark.parametrize(
    ("folder", "missing", "message"),
    [("JPEGImages", "001.png", "there is no image"), ("Annotations", "001.xml", "there is no XML file")],
)
@pytest.mark.parametrize("listed", [True, False])
def test_images_and_annotations_belong_together(
    voc: Path, folder: str, missing: str, message: str, listed: bool
) -> None:
    (voc / folder / missing).unlink()
    if not listed:
        shutil.rmtree(voc / "ImageSets")
    with pytest.raises(DataError, match=f"001: {message} of this name"):
        _set_up(voc)
    assert all("001" not in names for names in _names(_set_up(voc, on_error="skip")).values())


def test_a_class_that_training_does_not_have_is_an_error(voc: Path) -> None:
    write_voc_file(voc / "Annotations" / "006.xml", [("pink", (1, 1, 9, 9))])
    with pytest.raises(DataError, match=r"006\.xml: object 1: its class pink is not among those of training"):
        _set_up(voc)


def test_another_layout_is_told(tmp_path: Path, voc: Path) -> None:
    with pytest.raises(DataError, match=r"ImageSets: there is no XML file in this folder\. Expected the folders JPEG"):
        _set_up(voc / "ImageSets")
    with pytest.raises(DataError, match="there is no such folder"):
        _set_up(voc / "nowhere")
    _roboflow(voc)
    shutil.rmtree(voc / "train")
    with pytest.raises(DataError, match=r"found XML files in valid and test, but none in a folder train\. Expected"):
        _set_up(voc)


@pytest.mark.parametrize(
    ("write", "hint"),
    [
        (write_coco, "It has JSON files; CocoDetection reads those of COCO"),
        (write_yolo, r"It has data\.yaml; YoloDetection reads this"),
    ],
)
def test_another_format_is_told_before_images_of_one_name(tmp_path: Path, write: Any, hint: str) -> None:
    root = write(tmp_path / "other")
    for split in ("train", "valid"):
        (root / split).mkdir()
        shutil.copy(next(root.rglob("000.png")), root / split / "1.png")
    with pytest.raises(DataError, match=rf"other: there is no XML file in this folder\. {hint}\. Expected the folders"):
        _set_up(root)


def test_an_empty_list_and_two_of_one_split_are_told(voc: Path) -> None:
    (voc / "ImageSets" / "Main" / "validation.txt").write_text("009\n")
    with pytest.raises(DataError, match="Main: val and validation are both for val"):
        _set_up(voc)
    (voc / "ImageSets" / "Main" / "validation.txt").unlink()
    (voc / "ImageSets" / "Main" / "train.txt").write_text("")
    with pytest.raises(DataError, match=r"train\.txt: this file is empty or does not exist"):
        _set_up(voc)
